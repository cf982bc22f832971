/* `postern check`: is this configuration good, what does it mean, and does it fit its memory? */
#ifndef PROXY_CHECK_H
#define PROXY_CHECK_H

/* Loads the configuration and its certificates as `postern run` would, prints what is in force and the proof of memory.
 * Returns the exit status: 78, with all errors on stderr, when something is wrong.
 */
int check_file(const char *path);
/* An ini with all keys and defaults, or the body of postern.ini(5), on stdout. */
void check_print_defaults(void);
void check_print_manual(void);

#endif
