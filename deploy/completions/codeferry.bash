complete -o default -o bashdefault -C codeferry codeferry
