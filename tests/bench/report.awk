# report.awk - medians and ratios of what scripts/bench has measured
#
#   awk -f report.awk -v group=NAME SAMPLES     one group, as a table
#   awk -f report.awk -v json=1 SAMPLES         all, as JSON
#
# SAMPLES has fields separated by TAB:
#   context KEY VALUE                                         what was measured, and how
#   group NAME TITLE                                          the groups are reported in this order
#   job GROUP NAME BYTES                                      the jobs of a group; `cat | cat` is what x refers to
#   sample GROUP NAME ROUND WALL USER SYSTEM MAXRSS           seconds and KiB
#   ratio GROUP NAME TO                                       NAME over TO is of interest: jobs, or rows of figures
#   figure GROUP ROW COLUMN VALUE                             any other measurement
#   missing WHAT PACKAGE                                      what could not be measured here
#
# Ratios are medians of the ratios of each round, for what was measured at the same time suffered from the same noise.
# Where two jobs have different sizes, they are per byte.

BEGIN {
    FS = "\t"
    YARDSTICK = "cat | cat"
}

function remember(list, n, seen, key, value) {
    if (!((key, value) in seen)) {
        seen[key, value]
        list[key, ++n[key]] = value
    }
}

$1 == "context" { context[++n_context] = $2; context_value[$2] = $3 }
$1 == "group" { groups[++n_groups] = $2; title[$2] = $3 }
$1 == "job" { names[$2, ++n_names[$2]] = $3; bytes[$2, $3] = $4 }
$1 == "sample" {
    if ($4 + 0 > rounds[$2]) rounds[$2] = $4 + 0
    wall[$2, $3, $4] = $5
    cpu[$2, $3, $4] = $6 + $7
    rss[$2, $3, $4] = $8
}
$1 == "ratio" { ratio_name[$2, ++n_ratios[$2]] = $3; ratio_to[$2, n_ratios[$2]] = $4 }
$1 == "figure" {
    remember(rows, n_rows, known_row, $2, $3)
    remember(columns, n_columns, known_column, $2, $4)
    figure[$2, $3, $4, ++n_figures[$2, $3, $4]] = $5
}
$1 == "missing" { missing[++n_missing] = $2; package[n_missing] = $3 }

# ---- statistics: of v[1..n], into low, median and high ------------------------------------------------------

function statistics(v, n,    i, j, t) {
    for (i = 2; i <= n; i++) {
        t = v[i]
        for (j = i - 1; j >= 1 && v[j] > t; j--)
            v[j + 1] = v[j]
        v[j + 1] = t
    }
    low = v[1]
    high = v[n]
    median = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    count = n
    return n > 0
}

function of_samples(what, g, name,    r, n, v) {
    for (r = 1; r <= rounds[g]; r++)
        if ((g, name, r) in what)
            v[++n] = what[g, name, r] + 0
    return statistics(v, n)
}

# A ratio of next to nothing says nothing.
function of_ratios(what, g, name, to,    r, n, v, scale) {
    if (!((g, name) in bytes && (g, to) in bytes))
        return 0
    scale = bytes[g, to] / bytes[g, name]
    for (r = 1; r <= rounds[g]; r++)
        if ((g, name, r) in what && (g, to, r) in what && what[g, to, r] > 0)
            v[++n] = what[g, name, r] / what[g, to, r] * scale
    return statistics(v, n)
}

function of_figures(g, row, column,    i, n, v) {
    n = n_figures[g, row, column]
    for (i = 1; i <= n; i++)
        v[i] = figure[g, row, column, i] + 0
    return statistics(v, n)
}

# The nth figure of each row is of the same round, unless one failed.
function of_figure_ratios(g, name, to, column,    i, n, v) {
    if (n_figures[g, name, column] != n_figures[g, to, column])
        return 0
    for (i = 1; i <= n_figures[g, to, column]; i++)
        if (figure[g, to, column, i] > 0)
            v[++n] = figure[g, name, column, i] / figure[g, to, column, i]
    return statistics(v, n)
}

# ---- tables ---------------------------------------------------------------------------------------------------

function digits(x) {
    return x >= 100 ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : 3
}

function spread() {
    return sprintf("%.*f (%.*f..%.*f)", digits(median), median, digits(median), low, digits(median), high)
}

function ratio_row(g, i,    name, to, text) {
    name = ratio_name[g, i]
    to = ratio_to[g, i]
    if (!of_ratios(wall, g, name, to))
        return
    text = "wall " spread()
    if (of_ratios(cpu, g, name, to))
        text = text ", CPU " spread()
    printf "  %-38s %s\n", name " / " to, text
}

function samples_table(g,    i, name) {
    printf "  %-38s %8s %7s  %-22s %7s %9s\n", "", "wall s", "GB/s", "x", "CPU s", "RSS MiB"
    for (i = 1; i <= n_names[g]; i++) {
        name = names[g, i]
        if (!of_samples(wall, g, name)) {
            printf "  %-38s (failed)\n", name
            continue
        }
        printf "  %-38s %8.3f %7.2f", name, median, bytes[g, name] / median / 1e9
        of_ratios(wall, g, name, YARDSTICK)
        printf "  %-22s", spread()
        of_samples(cpu, g, name)
        printf " %7.3f", median
        of_samples(rss, g, name)
        printf " %9.1f\n", high / 1024
    }
    for (i = 1; i <= n_ratios[g]; i++)
        ratio_row(g, i)
}

function figures_table(g,    i, j) {
    printf "  %-24s", ""
    for (j = 1; j <= n_columns[g]; j++)
        printf " %22s", columns[g, j]
    print ""
    for (i = 1; i <= n_rows[g]; i++) {
        printf "  %-24s", rows[g, i]
        for (j = 1; j <= n_columns[g]; j++)
            printf " %22s", of_figures(g, rows[g, i], columns[g, j]) ? spread() : "-"
        print ""
    }
    for (i = 1; i <= n_ratios[g]; i++) {
        printf "  %-24s", ratio_name[g, i] " / " ratio_to[g, i]
        for (j = 1; j <= n_columns[g]; j++)
            printf " %22s", of_figure_ratios(g, ratio_name[g, i], ratio_to[g, i], columns[g, j]) ? spread() : "-"
        print ""
    }
}

function table(g) {
    if (!n_names[g] && !n_rows[g])
        return
    printf "\n%s: %s\n", g, title[g]
    if (n_names[g])
        samples_table(g)
    if (n_rows[g])
        figures_table(g)
}

# ---- JSON -----------------------------------------------------------------------------------------------------

function quoted(s) {
    gsub(/\\/, "&&", s)
    gsub(/"/, "\\\"", s)
    return "\"" s "\""
}

function json_statistics(any) {
    return any ? sprintf("{\"median\": %.6g, \"min\": %.6g, \"max\": %.6g, \"n\": %d}", median, low, high, count) : "null"
}

function json_sample(g, name) {
    printf "{\"name\": %s, \"bytes\": %.0f", quoted(name), bytes[g, name]
    printf ", \"wall_s\": %s", json_statistics(of_samples(wall, g, name))
    printf ", \"x\": %s", json_statistics(of_ratios(wall, g, name, YARDSTICK))
    printf ", \"cpu_s\": %s", json_statistics(of_samples(cpu, g, name))
    printf ", \"max_rss_kib\": %s}", json_statistics(of_samples(rss, g, name))
}

function json_ratio(g, name, to) {
    printf "{\"name\": %s, \"to\": %s", quoted(name), quoted(to)
    printf ", \"wall\": %s", json_statistics(of_ratios(wall, g, name, to))
    printf ", \"cpu\": %s}", json_statistics(of_ratios(cpu, g, name, to))
}

function json_figure_ratios(g, name, to,    j) {
    printf "{\"name\": %s, \"to\": %s", quoted(name), quoted(to)
    for (j = 1; j <= n_columns[g]; j++)
        printf ", %s: %s", quoted(columns[g, j]), json_statistics(of_figure_ratios(g, name, to, columns[g, j]))
    printf "}"
}

function json_figures(g,    i, j, separator) {
    for (i = 1; i <= n_rows[g]; i++)
        for (j = 1; j <= n_columns[g]; j++)
            if (of_figures(g, rows[g, i], columns[g, j])) {
                printf "%s{\"name\": %s, \"column\": %s, \"value\": %s}", separator, quoted(rows[g, i]),
                    quoted(columns[g, j]), json_statistics(1)
                separator = ",\n      "
            }
}

function json_group(g,    i) {
    printf "    {\"name\": %s, \"title\": %s,\n     \"jobs\": [", quoted(g), quoted(title[g])
    for (i = 1; i <= n_names[g]; i++) {
        printf "%s", (i > 1 ? ",\n      " : "")
        json_sample(g, names[g, i])
    }
    printf "],\n     \"ratios\": ["
    for (i = 1; i <= n_ratios[g]; i++) {
        printf "%s", (i > 1 ? ",\n      " : "")
        if (n_names[g])
            json_ratio(g, ratio_name[g, i], ratio_to[g, i])
        else
            json_figure_ratios(g, ratio_name[g, i], ratio_to[g, i])
    }
    printf "],\n     \"figures\": ["
    json_figures(g)
    printf "]}"
}

function json_all(    i) {
    printf "{\n  \"version\": 1"
    for (i = 1; i <= n_context; i++)
        printf ",\n  %s: %s", quoted(context[i]), quoted(context_value[context[i]])
    printf ",\n  \"groups\": ["
    for (i = 1; i <= n_groups; i++) {
        printf "%s\n", (i > 1 ? "," : "")
        json_group(groups[i])
    }
    printf "],\n  \"missing\": ["
    for (i = 1; i <= n_missing; i++)
        printf "%s{\"what\": %s, \"package\": %s}", (i > 1 ? ", " : ""), quoted(missing[i]), quoted(package[i])
    print "]\n}"
}

END {
    if (json)
        json_all()
    else
        table(group)
}
