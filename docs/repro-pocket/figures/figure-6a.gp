# gnuplot figure-6a.gp   draws figure-6a.svg from the CSV beside it
set encoding utf8
set terminal svg size 760,400 dynamic noenhanced font 'sans-serif,14' linewidth 1
set output 'figure-6a.svg'
set datafile separator comma
set border 3 linecolor rgb '#808890'
set tics out nomirror scale 0.6
set xtics offset 0,0.3
set xlabel offset 0,0.4
set format '%g'
set grid ytics back linetype 1 linecolor rgb '#c8808890' linewidth 1
set xlabel 'quarter of the context'
set ylabel 'share of answers, percent'
set xtics ('0-25 %%' 0, '25-50 %%' 1, '50-75 %%' 2, '75-100 %%' 3, 'none of them' 4) scale 0
set xrange [-0.5:4.5]
set yrange [0:100]
set key outside top left horizontal Left reverse samplen 1
set style fill solid 0.9 noborder
plot 'figure-6a.csv' using ($1+(-0.20000)):3:(0.37600) skip 1 with boxes linecolor rgb '#2f7fc1' title 'trained on standard', \
     'figure-6a.csv' using ($1+(0.20000)):4:(0.37600) skip 1 with boxes linecolor rgb '#d2622a' title 'trained on last'
