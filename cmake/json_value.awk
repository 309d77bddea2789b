# Prints the number or word at a path of a JSON file, so that the scripts need no interpreter beside
# the shell's own:  awk -v path=accuracy.standard.pair -f json_value.awk result.json
# Objects only; an array's elements are passed over.
{ text = text $0 "\n" }
END {
  depth = 0
  while (match(text, /"([^"\\]|\\.)*"|[][{}:,]|[^][{}:," \t\n\r]+/)) {
    token = substr(text, RSTART, RLENGTH)
    text = substr(text, RSTART + RLENGTH)
    if (token == "{" || token == "[") {
      depth++
      keys[depth] = ""
      expects_key[depth] = token == "{"
    } else if (token == "}" || token == "]") {
      depth--
    } else if (token == ",") {
      keys[depth] = ""
    } else if (token != ":") {
      gsub(/^"|"$/, "", token)
      if (expects_key[depth] && keys[depth] == "") {
        keys[depth] = token
      } else {
        here = keys[1]
        for (i = 2; i <= depth; i++) here = here "." keys[i]
        if (here == path) { print token; exit }
      }
    }
  }
  exit 1
}
