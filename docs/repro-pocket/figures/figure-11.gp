# gnuplot figure-11.gp   draws figure-11.svg from the CSV beside it
set encoding utf8
set terminal svg size 760,400 dynamic noenhanced font 'sans-serif,14' linewidth 1
set output 'figure-11.svg'
set datafile separator comma
set border 3 linecolor rgb '#808890'
set tics out nomirror scale 0.6
set xtics offset 0,0.3
set xlabel offset 0,0.4
set format '%g'
set grid ytics back linetype 1 linecolor rgb '#c8808890' linewidth 1
set xlabel 'length, tokens'
set ylabel 'pair accuracy, percent'
set logscale x 2
set xtics (16, 32, 64)
set xrange [15.45498126279753:66.25695512584817]
set yrange [0:100]
set key outside top left horizontal Left reverse samplen 2
plot 'figure-11.csv' using 1:2 skip 1 with linespoints linecolor rgb '#2f7fc1' linewidth 2 pointtype 7 pointsize 0.7 title 'pythia', \
     'figure-11.csv' using 1:3 skip 1 with linespoints linecolor rgb '#d2622a' linewidth 2 pointtype 5 pointsize 0.7 title 'hyena', \
     'figure-11.csv' using 1:4 skip 1 with linespoints linecolor rgb '#2a9a6c' linewidth 2 pointtype 9 pointsize 0.7 title 'rwkv', \
     'figure-11.csv' using 1:5 skip 1 with linespoints linecolor rgb '#a565b5' linewidth 2 pointtype 13 pointsize 0.7 title 'mamba', \
     'figure-11.csv' using 1:6 skip 1 with linespoints linecolor rgb '#b98a16' linewidth 2 pointtype 11 pointsize 0.7 title 'mamba-2x', \
     'figure-11.csv' using 1:7 skip 1 with linespoints linecolor rgb '#cf4f7a' linewidth 2 pointtype 15 pointsize 0.7 title 'mamba-4x', \
     'figure-11.csv' using 1:8 skip 1 with linespoints linecolor rgb '#1f9aae' linewidth 2 pointtype 7 pointsize 0.7 title 'mamba-gs'
