package main

import (
	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"github.com/codeferry/codeferry/messages"
)

// completes answers a shell that asks for completions, and reports whether one asks.
func completes(parser *kong.Kong) (bool, error) {
	all, err := kongcompletion.Command(parser, predictors())
	if err != nil {
		return false, err
	}
	help := all.Sub["help"]
	help.Sub = namesOf(all.Sub) // the library completes no list of arguments
	all.Sub["help"] = help
	c := complete.New(parser.Model.Name, all)
	c.Out = parser.Stdout
	return c.Complete(), nil
}

// namesOf returns commands and the ones below them, without flags and arguments.
func namesOf(all complete.Commands) complete.Commands {
	names := make(complete.Commands, len(all))
	for name, c := range all {
		names[name] = complete.Command{Sub: namesOf(c.Sub)}
	}
	return names
}

// predictors complete the values of flags that name theirs by the tag predictor; those with
// an enum need none.
func predictors() kongcompletion.Option {
	return kongcompletion.WithPredictors(map[string]complete.Predictor{
		"channel": complete.PredictSet(texts(messages.Channels())...),
		"type":    complete.PredictSet(texts(messages.Types())...),
		"reason":  complete.PredictSet(texts(messages.Reasons())...),
		"email":   complete.PredictSet(append(typesOf(messages.Email), none)...),
		"sms":     complete.PredictSet(append(typesOf(messages.SMS), none)...),
	})
}

func texts[T ~string](values []T) []string {
	all := make([]string, 0, len(values))
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}
