"""The parts of an end-to-end test: a client on the raw wire, a gateway process, back ends that do as they are told, and
mail software from Debian. Python's standard library only."""
