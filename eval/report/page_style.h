// The look of a report's page. One column of text, tables and figures as wide as the window allows,
// colours that carry a verdict and nothing else.
#pragma once

#include <string_view>

namespace farsight {

inline constexpr std::string_view kPageStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1c2026; --soft: #5b636e; --line: #dcdfe3; --shade: #f4f5f4;
  --link: #1f5f9e;
  --pass: #14602e; --pass-paper: #e4f3e7;
  --fail: #96250f; --fail-paper: #fbe8e3;
  --missing: #626a75; --missing-paper: #eff0f2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e3e6ea; --soft: #9aa3ae; --line: #2d333b; --shade: #1b1f25;
    --link: #86b9ee;
    --pass: #8fd6a2; --pass-paper: #16301e;
    --fail: #f3a892; --fail-paper: #3b1d17;
    --missing: #a2abb6; --missing-paper: #22272e;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 66rem; padding: 2.5rem 1.25rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.6 ui-sans-serif, system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere;
}
h1, h2, h3 { line-height: 1.25; font-weight: 650; letter-spacing: -0.01em; text-wrap: balance; }
h1 { font-size: 1.9rem; margin: 0 0 .75rem; }
h2 { font-size: 1.3rem; margin: 3.25rem 0 1rem; padding-top: 1.1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2.25rem 0 .75rem; }
p, ul, nav { max-width: 44rem; }
p { margin: 0 0 1rem; }
ul { padding-left: 1.2rem; margin: 0 0 1rem; }
li + li { margin-top: .25rem; }
a { color: var(--link); text-underline-offset: .15em; }
code, pre { font: .875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { background: var(--shade); border-radius: 3px; padding: .1em .3em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
pre { background: var(--shade); border-radius: 6px; padding: .9rem 1rem; overflow-x: auto; overflow-wrap: normal; }
.summary p { margin: 0; color: var(--soft); }
.summary p:first-child { color: var(--ink); }
nav { margin-top: 1.5rem; font-size: .9rem; line-height: 1.9; }
nav a { display: inline-block; margin-right: 1.1rem; }
figure { margin: 1.75rem 0 2.25rem; }
figcaption { max-width: 44rem; margin-bottom: .6rem; font-size: .925rem; line-height: 1.5; color: var(--soft); }
.picture figcaption { margin: .5rem 0 0; }
.picture figcaption small { display: block; margin-top: .2rem; font-size: .8125rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: separate; border-spacing: 0; font-size: .925rem; line-height: 1.4; font-variant-numeric: lining-nums tabular-nums; overflow-wrap: normal; }
th, td { padding: .42rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; font-weight: 600; border-bottom-color: var(--soft); white-space: nowrap; }
tbody th { font-weight: 450; }
th:first-child { padding-left: 0; padding-right: 1rem; }
.number { text-align: right; white-space: nowrap; }
td small { display: block; font-size: .78rem; line-height: 1.35; color: var(--soft); white-space: normal; }
td:not(.number) { min-width: 5.5rem; } .table td:last-child:not(.number) { min-width: 15rem; }
td.number small { min-width: 6.5rem; }
td.pass { background: var(--pass-paper); } td.pass > b, p.pass > b { color: var(--pass); }
td.fail { background: var(--fail-paper); } td.fail > b, p.fail > b { color: var(--fail); }
td.missing { background: var(--missing-paper); } td.missing > b, p.missing > b { color: var(--missing); }
td > b, p > b { font-weight: 600; }
td.missing > b { font-weight: 450; }
p.pass, p.fail, p.missing { padding: .5rem .8rem; border-left: 3px solid; border-radius: 0 4px 4px 0; }
p.pass { background: var(--pass-paper); border-color: var(--pass); }
p.fail { background: var(--fail-paper); border-color: var(--fail); }
p.missing { background: var(--missing-paper); border-color: var(--missing); }
.legend { margin: .5rem 0 0; font-size: .8125rem; color: var(--soft); }
.legend span { margin-right: 1.1rem; white-space: nowrap; }
.values { display: grid; grid-template-columns: fit-content(22rem) minmax(0, 1fr); margin: .5rem 0 1.5rem; font-size: .925rem; line-height: 1.45; }
.values dt, .values dd { margin: 0; padding: .35rem 0; border-bottom: 1px solid var(--line); }
.values dt { padding-right: 1.5rem; color: var(--soft); }
.values dd { font-variant-numeric: tabular-nums; }
.values small { margin-left: .6rem; color: var(--soft); font-size: .8rem; }
summary { cursor: pointer; color: var(--soft); font-size: .925rem; }
.picture details { margin-top: .35rem; } .picture summary { font-size: .8125rem; }
.picture svg { display: block; width: 100%; height: auto; color: var(--ink); background: none !important; font-family: inherit; }
.picture svg text { font-family: inherit; }
.picture svg image { image-rendering: pixelated; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .85rem; color: var(--soft); }
footer p { max-width: none; }
@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  table, .values { font-size: .875rem; }
  th, td { padding: .38rem .55rem; }
  .table tbody th { position: sticky; left: 0; background: var(--paper); }
  .values { grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); }
}
@media print {
  :root {
    --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --shade: #f3f3f3; --link: #000;
    --pass: #14602e; --pass-paper: #e4f3e7; --fail: #96250f; --fail-paper: #fbe8e3;
    --missing: #555; --missing-paper: #eee; color-scheme: light;
  }
  body { max-width: none; padding: 0; font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav { display: none; }
  h2, h3, figcaption { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
)css";

}  // namespace farsight
