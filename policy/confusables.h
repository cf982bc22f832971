/* Characters that look alike: the skeleton of UTS 39 4, by a table that policy/confusables.awk makes from Debian's Unicode data
 * when Postern is built.
 *
 * Ours goes further than the standard, since a name is to be recognised and not to be told apart: it has no case, no marks on
 * letters ("\u00FC" is "u"), and i, l and 1 are one, as are o and 0, m and rn, w and vv. Two names with the same skeleton look
 * alike; a skeleton is nothing to be shown.
 *
 *     uint32_t out[SKELETON_MAX];
 *     size_t n = skeleton_of(0x430, out);   // 1: "a"; U+0430 is the Cyrillic letter
 */
#ifndef POLICY_CONFUSABLES_H
#define POLICY_CONFUSABLES_H

#include <stddef.h>
#include <stdint.h>

enum { SKELETON_MAX = 4 /* characters for one; what would take more stands for itself */ };

/* How many characters were written: 0 for what does not show, such as U+200B. */
size_t skeleton_of(uint32_t c, uint32_t out[SKELETON_MAX]);

/* The simple case folding (CaseFolding.txt, C and S). Folded before, some characters have another skeleton: capital eta is like
 * an H, the small one like an n.
 */
uint32_t case_fold(uint32_t c);

#endif
