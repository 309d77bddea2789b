# gnuplot figure-6b.gp   draws figure-6b.svg from the CSV beside it
set encoding utf8
set terminal svg size 760,400 dynamic noenhanced font 'sans-serif,14' linewidth 1
set output 'figure-6b.svg'
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
set xtics (1, 2, 3, 4)
set xrange [0.9659363289248456:4.14105969536551]
set yrange [0:100]
set key outside top left horizontal Left reverse samplen 2
plot 'figure-6b.csv' using 1:2 skip 1 with linespoints linecolor rgb '#2f7fc1' linewidth 2 pointtype 7 pointsize 0.7 title 'L = 32', \
     'figure-6b.csv' using 1:3 skip 1 with linespoints linecolor rgb '#d2622a' linewidth 2 pointtype 5 pointsize 0.7 title 'L = 64', \
     'figure-6b.csv' using 1:4 skip 1 with lines linecolor rgb '#2a9a6c' linewidth 2 dashtype 2 title 'mean over lengths'
