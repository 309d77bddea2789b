# gnuplot figure-1-density.gp   draws figure-1-density.svg from the CSV beside it
set encoding utf8
set terminal svg size 760,400 dynamic noenhanced font 'sans-serif,14' linewidth 1
set output 'figure-1-density.svg'
set datafile separator comma
set border 3 linecolor rgb '#808890'
set tics out nomirror scale 0.6
set xtics offset 0,0.3
set xlabel offset 0,0.4
set format '%g'
set grid ytics back linetype 1 linecolor rgb '#c8808890' linewidth 1
set xlabel 'pairs'
set ylabel 'pair accuracy, percent'
set logscale x 2
set xtics (1, 2, 4, 8, 16, 32)
set xrange [0.9170040432046712:34.896247445288246]
set yrange [0:100]
set key off
plot 'figure-1-density.csv' using 1:2 skip 1 with linespoints linecolor rgb '#2f7fc1' linewidth 2 pointtype 7 pointsize 0.7 title 'L = 512'
