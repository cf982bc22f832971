#include "domain_set.h"

/* The order of the set: by name, the exact entry before the wildcard. */
static int entry_order(const struct domain_entry *a, const struct domain_entry *b)
{
    size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
    int order = n > 0 ? memcmp(a->name.p, b->name.p, n) : 0;

    if (order != 0)
        return order;
    if (a->name.n != b->name.n)
        return a->name.n < b->name.n ? -1 : 1;
    return (int)a->is_wildcard - (int)b->is_wildcard;
}

static void entry_swap(struct domain_entry *a, struct domain_entry *b)
{
    struct domain_entry held = *a;

    *a = *b;
    *b = held;
}

/* Restores the heap order below `at`: no entry is less than its two children. */
static void sift_down(struct domain_entry *item, size_t n, size_t at)
{
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && entry_order(&item[child], &item[child + 1]) < 0)
            child++;
        if (entry_order(&item[at], &item[child]) >= 0)
            return;
        entry_swap(&item[at], &item[child]);
        at = child;
    }
}

/* Heap sort: in place, and no input makes it slow. libc's qsort may call malloc. */
static void sort(struct domain_entry *item, size_t n)
{
    for (size_t i = n / 2; i > 0; i--)
        sift_down(item, n, i - 1);
    for (size_t last = n; last > 1; last--) {
        entry_swap(&item[0], &item[last - 1]);
        sift_down(item, last - 1, 0);
    }
}

void domain_set_sort(struct domain_set *set)
{
    size_t kept = 0;

    sort(set->item, set->n);
    for (size_t i = 0; i < set->n; i++)
        if (kept == 0 || entry_order(&set->item[kept - 1], &set->item[i]) != 0)
            set->item[kept++] = set->item[i];
    set->n = kept;
}

static bool holds_entry(const struct domain_set *set, struct str name, bool is_wildcard)
{
    struct domain_entry wanted = { name, is_wildcard };
    size_t low = 0, high = set->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = entry_order(&set->item[middle], &wanted);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool domain_set_holds(const struct domain_set *set, struct str name)
{
    if (name.n == 0)
        return false;
    if (holds_entry(set, name, false))
        return true;
    for (size_t dot = str_find(name, '.'); dot < name.n; dot = str_find(name, '.')) {
        name = str_skip(name, dot + 1);
        if (holds_entry(set, name, true))
            return true;
    }
    return false;
}
