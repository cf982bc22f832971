/* On which continent a country lies. Not every database says so, the free ones of ip-location-db least of all. */
#ifndef POLICY_CONTINENT_H
#define POLICY_CONTINENT_H

#include "str.h"

/* "EU" of "DE", in any case; empty when the code is neither in ISO 3166-1 nor XK or the AN of old. As GeoNames has it, which
 * MaxMind's databases follow: Russia and Cyprus lie in EU, Turkey in AS.
 */
struct str continent_of(struct str country);

/* AF, AN (Antarctica), AS, EU, NA, OC, SA, in any case. */
bool continent_is_known(struct str code);

#endif
