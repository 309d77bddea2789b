#!/usr/bin/env bash
# The pages of reports in a browser: an example with every kind of block, opened as a file at 400
# and at 1400 pixels. No message on the console, nothing wider than the window but inside its own
# box, and pictures of both to look at: build/report-example/page-WIDTH.png.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
folder=${BUILD:-build}/report-example

browser=""
for name in chromium chromium-browser google-chrome; do
  [[ -n "$browser" ]] || browser=$(command -v "$name" || true)
done
if [[ -z "$browser" ]]; then
  echo "SKIPPED report page: no Chromium on this machine (apt-get install chromium)"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi

passed=0
failed=0
ok() { passed=$((passed + 1)); }
bad() {
  failed=$((failed + 1))
  echo "FAILED  report page: $1"
}

profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
open_page() { # WIDTH OPTION ...   messages of the page's console come with CONSOLE
  local width=$1
  shift
  timeout 60 "$browser" --headless=new --no-sandbox --disable-gpu --disable-background-networking \
    --hide-scrollbars --user-data-dir="$profile" --window-size="$width,6000" \
    --virtual-time-budget=1000 --enable-logging=stderr --log-level=0 "$@" 2>"$profile/log"
}

"${BUILD:-build}/bin/farsight_tests" -tc="report: the example for the browser is written" >/dev/null
page=$folder/report.html
if [[ ! -f "$page" ]]; then
  bad "there is no $page"
  echo "$passed passed, $failed failed, 0 skipped"
  exit 1
fi

# The page forbids scripts; a copy of it tells the page round it, whose frame has the width asked for
# (no window is narrower than 500 pixels), how wide everything is.
sed '/http-equiv="Content-Security-Policy"/d' "$page" >"$folder/measured.html"
cat >>"$folder/measured.html" <<'SCRIPT'
<script>
const wide = [...document.querySelectorAll("body *")].filter((element) =>
  !element.closest(".scroll, pre, svg") && element.getBoundingClientRect().right > innerWidth + 1);
parent.postMessage(`window ${innerWidth} page ${document.documentElement.scrollWidth} wide ` +
  `${wide.length} ${wide.slice(0, 3).map((element) => element.tagName + "." + element.className)}`, "*");
</script>
SCRIPT
frame=$folder/frame.html

for width in 400 1400; do
  picture=$folder/page-$width.png
  rm -f "$picture"
  open_page "$width" --screenshot="$PWD/$picture" "file://$PWD/$page" >/dev/null
  if [[ -s "$picture" ]]; then ok; else bad "no picture at $width pixels: $(tail -n 3 "$profile/log")"; fi
  if grep -q "CONSOLE" "$profile/log"; then
    bad "console at $width pixels: $(grep -m 1 CONSOLE "$profile/log")"
  else
    ok
  fi
  cat >"$frame" <<HTML
<!DOCTYPE html><title>nothing</title>
<script>onmessage = (event) => { document.title = event.data; };</script>
<iframe src="measured.html" style="width: ${width}px; height: 6000px; border: 0"></iframe>
HTML
  title=$(open_page 1600 --dump-dom "file://$PWD/$frame" | grep -oE '<title>window [^<]*' | head -n 1)
  if [[ "$title" =~ window\ ([0-9]+)\ page\ ([0-9]+)\ wide\ ([0-9]+) ]]; then
    if ((BASH_REMATCH[1] == width)); then ok; else bad "the window is ${BASH_REMATCH[1]}, not $width"; fi
    if ((BASH_REMATCH[2] <= width && BASH_REMATCH[3] == 0)); then
      ok
    else
      bad "wider than $width pixels: $title"
    fi
  else
    bad "the page was not measured at $width pixels: '$title'"
  fi
done

echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))
