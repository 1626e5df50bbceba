function __complete_codeferry
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct)
    and set COMP_LINE "$COMP_LINE "
    codeferry
end
complete -f -c codeferry -a "(__complete_codeferry)"
