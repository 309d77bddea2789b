# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # what scaling_run.sh sets, and reads
# The parts of the scaling run (scaling_run.sh, which sources this): what is trained, killed, resumed,
# and what of it becomes a line.

# field NAME FILE: the numbers of a field of metrics.jsonl, a line each.
field() {
  grep -o "\"$1\":[-0-9.e+]*" "$2" 2>/dev/null | cut -d: -f2
}

last_step() {
  field step "$work/$1/metrics.jsonl" | tail -n 1
}

hash_of() {
  sed -nE 's/.*"parameter_hash": *"([0-9a-f]+)".*/\1/p' "$work/$1/result.json" 2>/dev/null
}

# now: milliseconds.
now() {
  echo "$((${EPOCHREALTIME/./} / 1000))"
}

# may_begin NAME: sets `seconds`, which a run that begins now may take; fails when none are left.
may_begin() {
  seconds=$((budget - SECONDS < limit ? budget - SECONDS : limit))
  ((seconds >= 5)) && return 0
  failed "left out, for the time of BUDGET=$budget is over: $1"
  return 1
}

# run NAME RANKS WORDS...: trains to the end, and says why not. Sets `took`, in milliseconds.
run() {
  local name=$1 ranks=$2 status began seconds
  shift 2
  command_line="farsight launch $count $ranks -- mamba train $*"
  may_begin "$name" || return
  began=$(now)
  timeout -k 15 "$seconds" "$farsight" launch "$count" "$ranks" -- mamba train "$@" \
    --out "$work/$name" >>"$work/$name.log" 2>&1
  status=$?
  took=$(($(now) - began))
  ((status == 0)) && return 0
  tail -n 8 "$work/$name.log" >&2
  if ((status == 124 || status == 137)); then
    failed "$name was not done after $seconds s"
  elif ((status == 8)); then # also what differing weights end with
    failed "$name lost a rank, or its ranks' weights differ (exit code 8)"
  else
    failed "$name ended with exit code $status"
  fi
  return 1
}

# start NAME WORDS...: N ranks in the background; until `deadline` they may take.
start() {
  local name=$1 seconds
  shift
  command_line="farsight launch $count $most -- mamba train $*"
  may_begin "$name" || return
  deadline=$((SECONDS + seconds))
  "$farsight" launch "$count" "$most" -- mamba train "$@" --out "$work/$name" \
    >>"$work/$name.log" 2>&1 &
  launched=$!
}

# end_launched SECONDS: the run started last has so long to end, and is killed then, with its ranks.
# Returns its exit code.
end_launched() {
  local until=$((SECONDS + $1)) status pid
  while ! has_ended "$launched" && ((SECONDS < until)); do sleep 0.02; done
  if ! has_ended "$launched"; then
    while read -r _ pid; do kill -KILL "$pid" 2>/dev/null; done < <(ranks_of "$launched")
    kill -KILL "$launched" 2>/dev/null
  fi
  wait "$launched"
  status=$?
  launched=
  return "$status"
}

# wait_for_step NAME STEP: whether the run started last has come so far.
wait_for_step() {
  local step
  while true; do
    step=$(last_step "$1")
    ((${step:-0} >= $2)) && return 0
    if ! kill -0 "$launched" 2>/dev/null || ((SECONDS >= deadline)); then
      tail -n 8 "$work/$1.log" >&2
      failed "$1 did not come to step $2"
      kill -TERM "$launched" 2>/dev/null
      end_launched 15
      return 1
    fi
    sleep 0.02
  done
}

some_step() { # not so early that there is no checkpoint, nor so late that it is over
  echo $((run_steps / 4 + RANDOM % (run_steps / 2)))
}

# same NAME: its weights and those of the undisturbed run of N ranks: true or false.
same() {
  [[ -n "$reference" && "$(hash_of "$1")" == "$reference" ]] && echo true || echo false
}

reference=
need_reference() {
  [[ -n "$reference" ]] && return 0
  run undisturbed "$most" "${run_words[@]}" || return 1
  reference=$(hash_of undisturbed)
  rm -rf "$work/undisturbed"
}

# measured NAME RANKS ONE: the numbers of a speed, from a third of the steps on, as what is prepared
# once has been by then. ONE: tokens/s on one rank, or nothing.
measured() {
  local metrics=$work/$1/metrics.jsonl
  paste <(field step "$metrics") <(field tokens "$metrics") <(field seconds "$metrics") \
    <(field exposed_ms "$metrics") <(field weights_compared "$metrics") |
    awk -F '\t' -v n="$2" -v one="${3:-0}" -v steps="$steps" '
      $1 >= steps / 3 && !began { began = 1; step = $1; tokens = $2; seconds = $3 }
      { last_step = $1; last_tokens = $2; last_seconds = $3; if ($5 != "") compared = $5 }
      began && $4 != "" { exposed += $4; counted++ }
      END {
        took = last_seconds - seconds
        if (last_step <= step || took <= 0) exit 1
        ms = 1e3 * took / (last_step - step)
        printf "\"tokens_per_second\":%.0f,\"step_ms\":%.2f", (last_tokens - tokens) / took, ms
        if (n > 1 && one > 0) {
          printf ",\"efficiency_percent\":%.2f", 100 * (last_tokens - tokens) / took / n / one
        }
        if (counted) {
          waited = exposed / counted
          printf ",\"exposed_ms\":%.2f,\"exposed_percent\":%.2f", waited, 100 * waited / ms
        }
        printf ",\"steps_timed\":%d", last_step - step
        # A run whose weights differ ends at once.
        if (compared != "") printf ",\"times_weights_were_compared_and_equal\":%d", compared
      }'
}

speed() {
  local model n numbers one name
  for model in "${models[@]}"; do
    one=
    for ((n = 1; n <= most; n *= 2)); do
      name=$model-on-$n
      run "$name" "$n" --model "$model" "${speed_words[@]}" --device "$device" --lengths "$length" \
        --batch-size $((rows * n)) --steps "$steps" --ranks.check_interval "$check" \
        --ckpt-interval 1000000000 --log-interval $((steps < 60 ? 1 : 5)) "${rare[@]}" "${few[@]}" \
        "${extra[@]}" || continue
      if numbers=$(measured "$name" "$n" "$one"); then
        [[ "$numbers" =~ \"tokens_per_second\":([0-9]+) ]] && ((n == 1)) && one=${BASH_REMATCH[1]}
        emit "\"name\":\"scaling\",\"model\":\"$model\",\"ranks\":$n,\"tokens_per_rank_and_step\":$((rows * length)),$numbers,\"seconds_in_all\":$((took / 1000))"
      else
        failed "$name: metrics.jsonl has too few steps to measure"
      fi
      rm -rf "${work:?}/$name"
    done
  done
}

reproducible() {
  local n first="" hash equal
  for ((n = 1; n <= most; n *= 2)); do
    run "reproducible-on-$n" "$n" "${run_words[@]}" || continue
    hash=$(hash_of "reproducible-on-$n")
    rm -rf "$work/reproducible-on-$n"
    first=${first:-$hash}
    equal=true
    if [[ "$hash" != "$first" || -z "$hash" ]]; then
      equal=false
      failed "--reproducible: $n ranks end with other weights than fewer ($hash, $first)"
    fi
    ((n == most)) && reference=$hash
    emit "\"name\":\"reproducible\",\"ranks\":$n,\"parameter_hash\":\"$hash\",\"equal\":$equal,\"seconds_in_all\":$((took / 1000))"
  done
}

# ranks_of PID: the processes that `farsight launch` started, "RANK PID" a line.
ranks_of() {
  local status pid number
  while read -r status; do
    pid=${status//[!0-9]/}
    number=$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^RANK=//p')
    [[ -n "$number" ]] && echo "$number $pid"
  done < <(grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status)
}

# has_ended PID: also when nobody has asked yet what it ended with.
has_ended() {
  local line
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
  line=${line##*) }
  [[ "${line:0:1}" == [ZX] ]]
}

kill_one() {
  local name=killed-$1 step rank number pid victim began ended status said equal
  local -A pids=()
  need_reference || return
  step=$(some_step)
  rank=$((RANDOM % most))
  start "$name" "${run_words[@]}" || return
  wait_for_step "$name" 1 || return
  while read -r number pid; do pids[$number]=$pid; done < <(ranks_of "$launched")
  wait_for_step "$name" "$step" || return
  if ((${#pids[@]} != most)); then
    failed "$name: ${#pids[@]} of $most ranks were there to be killed"
    kill -TERM "$launched"
    end_launched 15
    return
  fi
  victim=${pids[$rank]}
  unset "pids[$rank]"
  began=$(now)
  kill -KILL "$victim"
  while ((${#pids[@]} > 0 && $(now) - began < 60000)); do
    for number in "${!pids[@]}"; do
      has_ended "${pids[$number]}" && unset "pids[$number]"
    done
  done
  ended=$(($(now) - began))
  step=$(last_step "$name")
  end_launched 15
  status=$?
  ((${#pids[@]} == 0)) || failed "$name: ranks ${!pids[*]} still ran a minute after rank $rank was killed"
  ((status == 8)) || failed "$name: launch ended with $status, and 8 says that a rank was lost"
  said=$(grep -oE "rank $rank of $most .* was lost: [a-z ]*" "$work/$name.log" | head -n 1)
  run "$name" "$most" "${run_words[@]}" || return
  equal=$(same "$name")
  [[ "$equal" == true ]] || failed "$name: killed at step $step, the resumed run ended with other weights ($(hash_of "$name"), $reference)"
  emit "\"name\":\"a rank killed\",\"ranks\":$most,\"killed_rank\":$rank,\"after_step\":$step,\"of_steps\":$run_steps,\"seconds_until_all_have_ended\":$(awk -v ms="$ended" 'BEGIN { printf "%.3f", ms / 1e3 }'),\"exit_code\":$status,\"said\":\"${said//\"/}\",\"resumed_on\":$most,\"parameter_hash\":\"$(hash_of "$name")\",\"equal\":$equal,\"seed\":$seed"
  rm -rf "${work:?}/$name"
}

kill_some() {
  local i
  for ((i = 1; i <= ${KILLS:-1}; i++)); do
    kill_one "$i"
  done
}

resume_on_half() {
  local name=half step status equal half=$((most / 2))
  need_reference || return
  start "$name" "${run_words[@]}" || return
  wait_for_step "$name" "$(some_step)" || return
  kill -TERM "$launched"
  end_launched 60 # a checkpoint is written
  status=$?
  step=$(last_step "$name")
  ((status == 75)) || failed "$name: launch ended with $status, and 75 says that a checkpoint was saved"
  run "$name" "$half" "${run_words[@]}" || return
  equal=$(same "$name")
  [[ "$equal" == true ]] || failed "$name: from $most ranks on $half the run ended with other weights ($(hash_of "$name"), $reference)"
  emit "\"name\":\"resumed on half\",\"ranks\":$most,\"resumed_on\":$half,\"after_step\":$step,\"of_steps\":$run_steps,\"parameter_hash\":\"$(hash_of "$name")\",\"equal\":$equal,\"seed\":$seed"
  rm -rf "${work:?}/$name"
}
