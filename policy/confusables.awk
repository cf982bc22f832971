# Makes confusables_table.h, which policy/confusables.c reads, from what Debian knows of Unicode:
#
#   LC_ALL=C awk -f policy/confusables.awk UnicodeData.txt CaseFolding.txt RS='"' confusables.json >confusables_table.h
#
# UnicodeData.txt and CaseFolding.txt are those of the package unicode-data. It leaves confusables.txt (UTS 39) out;
# confusables.json holds its pairs, in the package python3-confusable-homoglyphs. POSIX awk suffices.
#
# Code points are decimal numbers here, strings are lists of them with blanks between.

BEGIN {
    FS = ";"
    is_key = 1
    for (i = 0; i < 128; i++)
        code[sprintf("%c", i)] = i
    for (i = 0; i < 16; i++)
        digit[substr("0123456789ABCDEF", i + 1, 1)] = digit[substr("0123456789abcdef", i + 1, 1)] = i
    # What looks alike in the fonts of mail programs although UTS 39 has no row for it.
    alike[code["i"]] = code["l"]
    alike[code["w"]] = code["v"] " " code["v"]
}

function number(hex,    i, n) {
    n = 0
    for (i = 1; i <= length(hex); i++)
        n = n * 16 + digit[substr(hex, i, 1)]
    return n
}

# "0041 0308" as a list
function numbers(text,    i, n, part, list) {
    n = split(text, part, " ")
    list = ""
    for (i = 1; i <= n; i++)
        list = list (i > 1 ? " " : "") number(part[i])
    return list
}

FNR == 1 { files++ }

# ---- UnicodeData.txt: 5 is the decomposition, "<wide> 0041" when it is one of compatibility ----
files == 1 && $6 != "" {
    from = number($1)
    if (sub(/^<[a-zA-Z]*> */, "", $6))
        compatible[from] = numbers($6)
    else
        canonical[from] = numbers($6)
}

# ---- CaseFolding.txt: C and S are the simple folding ----
files == 2 && $2 ~ /^ [CS]$/ { lower[number($1)] = number(substr($3, 2)) }

# ---- confusables.json: {"KEY": [{"c": "VALUE", "n": "NAME"}, ...], ...}, each pair in both directions ----
# Records are what stands between quotes: every other one is a string. Its escapes are \", \\ and \uXXXX.
files != 3 { next }
in_string && /(^|[^\\])(\\\\)*\\$/ { text = text $0 "\""; next }
in_string { read_string(text $0); text = ""; in_string = 0; next }
{
    in_string = 1
    if (/[]\[]/)
        is_key = /\]/ # between one list and the next
}

function read_string(s) {
    if (is_key)
        key = listed(s)
    else if (member == "c")
        pair(key, listed(s))
    member = is_key || member != "" ? "" : s
}

# A string of JSON as a list, less the marks U+200E that stand round what is written from right to left.
function listed(s,    list, c, high) {
    list = ""
    while (s != "") {
        if (s ~ /^\\u/) {
            c = number(substr(s, 3, 4))
            s = substr(s, 7)
            if (c >= 55296 && c < 56320) { # the first half of a surrogate pair
                high = c
                continue
            }
            if (c >= 56320 && c < 57344)
                c = 65536 + (high - 55296) * 1024 + c - 56320
        } else {
            if (s ~ /^\\/)
                s = substr(s, 2)
            c = code[substr(s, 1, 1)]
            s = substr(s, 2)
        }
        if (c != 8206)
            list = list (list != "" ? " " : "") c
    }
    return list
}

function pair(a, b) {
    if (a == b || (a, b) in seen)
        return
    seen[a, b] = 1
    partners[a]++
    partner[a] = b
}

function is_single(list) {
    return list !~ / /
}

# In UTS 39 each of them points to the one prototype of its class: so whoever has several partners is a prototype. Of two that
# have only each other, it is the sequence, or the lower number.
function points_to(a,    b) {
    b = partner[a]
    if (partners[a] > 1)
        return ""
    if (partners[b] > 1 || !is_single(b) || b + 0 < a + 0)
        return b
    return ""
}

# Marks that are put on letters of the European scripts, and what does not show. Marks of other scripts are vowels.
function is_dropped(c) {
    return (c >= 768 && c <= 879) || (c >= 6832 && c <= 6911) || (c >= 7616 && c <= 7679) || (c >= 8400 && c <= 8447) ||
        (c >= 65056 && c <= 65071) || c == 173 || (c >= 8203 && c <= 8207) || (c >= 8234 && c <= 8238) ||
        (c >= 8288 && c <= 8303) || (c >= 65024 && c <= 65039) || c == 65279 || (c >= 917504 && c <= 921599)
}

# What is neither in names of hosts nor of people, and would fill the table: ideographs in compatibility forms, radicals, Hangul
# by its parts, the ligatures of Arabic, musical notes.
function is_left_out(c) {
    return (c >= 11904 && c <= 12255) || (c >= 12592 && c <= 13311) || (c >= 44032 && c <= 55295) || (c >= 63744 && c <= 64255) ||
        (c >= 64336 && c <= 65023) || (c >= 65136 && c <= 65278) || (c >= 119040 && c <= 119375) || (c >= 194560 && c <= 195103) ||
        (c >= 917504)
}

function fold_all(list,    i, n, part, result, one) {
    n = split(list, part, " ")
    result = ""
    for (i = 1; i <= n; i++) {
        one = fold(part[i] + 0)
        result = result (result != "" && one != "" ? " " : "") one
    }
    return result
}

# The skeleton of one character (UTS 39 4), less its marks and its case: decomposed, then the prototype, again and again.
function fold(c) {
    if (c in folded)
        return folded[c]
    folded[c] = c
    if (is_dropped(c))
        folded[c] = ""
    else if (c in alike)
        folded[c] = fold_all(alike[c])
    else if (c in canonical)
        folded[c] = fold_all(canonical[c])
    else if (c in proto)
        folded[c] = fold_all(proto[c])
    else if (c in compatible)
        folded[c] = fold_all(compatible[c])
    else if (c in lower)
        folded[c] = fold(lower[c])
    return folded[c]
}

# The simple folding as runs of characters, `step` apart, that all map to what is `delta` behind them.
function put_folds(    c, n, first, before, step) {
    print "static const struct fold_run folds[] = {"
    for (c = 0; c <= LAST; c++) {
        if (!(c in lower))
            continue
        if (n > 0 && lower[c] - c == lower[first] - first && (c - before == step || (first == before && c - before <= 2))) {
            step = c - before
        } else {
            if (n++ > 0)
                printf "    { 0x%X, 0x%X, %d, %d },\n", first, before, step, lower[first] - first
            first = c
            step = 1
        }
        before = c
    }
    printf "    { 0x%X, 0x%X, %d, %d },\n};\n\n", first, before, step, lower[first] - first
}

# Where a skeleton stands in the pool, into which it is put when it is new: its last character is marked.
function place_of(list,    i, n, part) {
    if (!(list in place)) {
        place[list] = pool_n
        n = split(list, part, " ")
        for (i = 1; i <= n; i++)
            pool[pool_n++] = part[i] (i == n ? " | LAST_OF_SKELETON" : "")
    }
    return place[list]
}

function put_skeletons(    c, i, n, target) {
    pool_n = n = 0
    print "static const uint32_t skeletons[] = {"
    for (c = 0; c <= LAST; c++) {
        if (is_left_out(c) || is_dropped(c))
            continue
        target = fold(c)
        if (target == c "" || target == "" || split(target, part, " ") > MOST)
            continue
        printf "    0x%XU << PLACE_BITS | %d,\n", c, place_of(target)
        n++
    }
    print "};\n\nstatic const uint32_t pool[] = {"
    for (i = 0; i < pool_n; i++)
        printf "    %s,\n", pool[i]
    print "};"
    if (protos < 5000 || pool_n >= 32768) { # 15 bits for a place; and fewer pairs mean that the file has another format
        print "confusables.awk: " protos " confusables, " pool_n " in the pool: not what was expected" >"/dev/stderr"
        failed = 1
    }
}

END {
    LAST = 131071 # 17 bits; behind it are ideographs
    MOST = 4      # SKELETON_MAX
    for (a in partner)
        if (is_single(a) && (target = points_to(a)) != "") {
            proto[a + 0] = target
            protos++
        }
    print "/* Made by policy/confusables.awk. */"
    put_folds()
    put_skeletons()
    exit files != 3 || failed
}
