"""Parts of the laboratory: namespaces, the player of scenarios on real wires, captures."""
