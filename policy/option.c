#include "option.h"

bool network_list_holds(const struct network_list *list, const struct address *address)
{
    for (size_t i = 0; i < list->n; i++)
        if (network_holds(&list->item[i], address))
            return true;
    return false;
}
