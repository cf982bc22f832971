#include "continent.h"

/* Two letters each. */
struct continent {
    struct str code, countries;
};

/* clang-format off */
static const struct continent continents[] = {
    { STR_INIT("AF"), STR_INIT("AOBFBIBJBWCDCFCGCICMCVDJDZEGEHERETGAGHGMGNGQGWKEKMLRLSLYMAMGMLMRMUMWMZNANENGRERWSCSDSHSLSNSOSSST"
                               "SZTDTGTNTZUGYTZAZMZW") },
    { STR_INIT("AN"), STR_INIT("AQBVGSHMTF") },
    { STR_INIT("AS"), STR_INIT("AEAFAMAZBDBHBNBTCCCNCXGEHKIDILINIOIQIRJOJPKGKHKPKRKWKZLALBLKMMMNMOMVMYNPOMPHPKPSQASASGSYTHTJTMTR"
                               "TWUZVNYE") },
    { STR_INIT("EU"), STR_INIT("ADALATAXBABEBGBYCHCYCZDEDKEEESFIFOFRGBGGGIGRHRHUIEIMISITJELILTLULVMCMDMEMKMTNLNOPLPTRORSRUSESISJ"
                               "SKSMUAVAXK") },
    { STR_INIT("NA"), STR_INIT("AGAIANAWBBBLBMBQBSBZCACRCUCWDMDOGDGLGPGTHNHTJMKNKYLCMFMQMSMXNIPAPMPRSVSXTCTTUSVCVGVI") },
    { STR_INIT("OC"), STR_INIT("ASAUCKFJFMGUKIMHMPNCNFNRNUNZPFPGPNPWSBTKTLTOTVUMVUWFWS") },
    { STR_INIT("SA"), STR_INIT("ARBOBRCLCOECFKGFGYPEPYSRUYVE") },
};
/* clang-format on */

enum { CONTINENTS = sizeof continents / sizeof *continents };

static bool holds(struct str countries, struct str country)
{
    for (; countries.n >= 2; countries = str_skip(countries, 2))
        if (str_ieq(str_from(countries.p, 2), country))
            return true;
    return false;
}

struct str continent_of(struct str country)
{
    for (size_t i = 0; i < CONTINENTS; i++)
        if (holds(continents[i].countries, country))
            return continents[i].code;
    return STR("");
}

bool continent_is_known(struct str code)
{
    for (size_t i = 0; i < CONTINENTS; i++)
        if (str_ieq(continents[i].code, code))
            return true;
    return false;
}
