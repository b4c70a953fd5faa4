# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG, by gnuplot. The same figures make the same bytes."""

import shutil
import subprocess

COLOURS = ["#1b6ca8", "#5aa9e6", "#9dc9ee", "#c8553d", "#588157", "#7b5ea7", "#e0a458"]


def draw(path, script, data):
    if shutil.which("gnuplot") is None:
        print(f"{path.name} was not drawn: gnuplot is not installed")
        return
    head = f"""set terminal svg size 760,560 font "sans-serif,13" background "white" name "plot"
set output "{path}"
"""
    subprocess.run(["gnuplot"], input=head + script + data, text=True, check=True)


def bars(path, title, y_label, rows, series, stacked=False, logarithmic=False):
    """rows: names on the x axis. series: of (name, a value for each row)."""
    style = "rowstacked" if stacked else "clustered gap 2"
    plots = ", ".join(f"'-' using 1:xtic(2) lc rgb '{colour}' title '{name}'"
                      for colour, (name, _) in zip(COLOURS + ["#444444"], series))
    data = "".join("".join(f'{value:.6g} "{row}"\n' for row, value in zip(rows, values)) + "e\n"
                   for _, values in series)
    script = f"""set title "{title}"
set ylabel "{y_label}"
set style data histograms
set style histogram {style}
set style fill solid 0.9 noborder
set boxwidth 0.9
set xtics rotate by -40 left font ",10"
set rmargin 16
set grid ytics lt 1 lw 1 lc rgb "#dddddd"
{'set logscale y' if logarithmic else 'set yrange [0:*]'}
set key outside above center horizontal maxcols 4
plot {plots}
"""
    draw(path, script, data)


def write(path, title, x_label, y_label, series):
    """Both axes are logarithmic. series: of (name, points as (x, y))."""
    series = [(name, [point for point in points if point[1]]) for name, points in series]
    series = [(name, points) for name, points in series if points]
    plots = ", ".join(f"'-' using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb '{colour}' title '{name}'"
                      for colour, (name, _) in zip(COLOURS, series))
    data = "".join("".join(f"{x} {y:.6g}\n" for x, y in points) + "e\n" for _, points in series)
    script = f"""set title "{title}"
set xlabel "{x_label}"
set ylabel "{y_label}"
set logscale xy
set xrange [0.8:5200]
set xtics (1, 10, 100, 1000, 4094)
set grid xtics ytics lt 1 lw 1 lc rgb "#dddddd"
set key outside below center horizontal maxcols 2 width 2 samplen 2
plot {plots}
"""
    draw(path, script, data)
