# gnuplot figure-8.gp   draws figure-8.svg from the CSV beside it
set encoding utf8
set terminal svg size 980,354 dynamic noenhanced font 'sans-serif,14' linewidth 1
set output 'figure-8.svg'
set datafile separator comma
set border 3 linecolor rgb '#808890'
set tics out nomirror scale 0.6
set xtics offset 0,0.3
set xlabel offset 0,0.4
set format '%g'
set grid ytics back linetype 1 linecolor rgb '#c8808890' linewidth 1
unset grid
set border 15
set key off
set title offset 0,-0.6
set palette defined (0 '#000004', 0.15 '#210c4a', 0.3 '#57106e', 0.45 '#8a226a', 0.6 '#bc3754', 0.75 '#e45a31', 0.88 '#f98e09', 0.96 '#f9cb35', 1 '#fcffa4')
set cbrange [0:0.30711668729782104]
set cblabel 'mean over channels'
set cbtics scale 0.4
set colorbox user origin screen 0.91633,0.15819 size screen 0.01224,0.74576
set label 1 'source position' at screen 0.48367,0.03672 center
set label 2 'target position' at screen 0.01429,0.53107 center rotate by 90
set multiplot
set lmargin at screen 0.06531
set rmargin at screen 0.33469
set tmargin at screen 0.90395
set bmargin at screen 0.15819
set title 'L = 16, 4 pairs'
set format x '%g'
set xtics 4
set format y '%g'
set ytics 4
set xrange [-0.5:15.5]
set yrange [15.5:-0.5]
unset object
set object rectangle from -0.5,7.5 to 7.5,14.5 front fillstyle empty border linecolor rgb '#35c3e8' linewidth 1.2
plot 'figure-8.csv' matrix using 1:2:3 with image notitle
set lmargin at screen 0.34898
set rmargin at screen 0.61837
set tmargin at screen 0.90395
set bmargin at screen 0.15819
set title 'L = 32, 4 pairs'
set format x '%g'
set xtics 8
set format y '%g'
set ytics 8
set xrange [-0.5:31.5]
set yrange [31.5:-0.5]
unset colorbox
unset label
unset object
set object rectangle from -0.5,7.5 to 7.5,30.5 front fillstyle empty border linecolor rgb '#35c3e8' linewidth 1.2
plot 'figure-8-2.csv' matrix using 1:2:3 with image notitle
set lmargin at screen 0.63265
set rmargin at screen 0.90204
set tmargin at screen 0.90395
set bmargin at screen 0.15819
set title 'L = 64, 4 pairs'
set format x '%g'
set xtics 16
set format y '%g'
set ytics 16
set xrange [-0.5:63.5]
set yrange [63.5:-0.5]
unset object
set object rectangle from -0.5,7.5 to 7.5,62.5 front fillstyle empty border linecolor rgb '#35c3e8' linewidth 1.2
plot 'figure-8-3.csv' matrix using 1:2:3 with image notitle
unset multiplot
