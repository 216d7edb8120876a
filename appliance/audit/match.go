package audit

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"nimbus/appliance/id"
)

// matcher decides about records outside the database as a search there does.
// Texts are split at everything that is neither letter nor digit.
func (f Filter) matcher() func(r Record, body []byte) bool {
	text := parseText(f.Text)
	return func(r Record, body []byte) bool {
		return f.matchesColumns(r) && (len(text) == 0 || text.matches(wordsOf(r.Event, body)))
	}
}

func (f Filter) matchesColumns(r Record) bool {
	equal := func(want, is string) bool { return want == "" || want == is }
	least := slices.Index(priorities, f.Priority)
	return (len(f.Events) == 0 || slices.ContainsFunc(f.Events, func(e string) bool { return covers(e, r.Event) })) &&
		(f.Category == "" || covers(f.Category, r.Event)) &&
		(f.Priority == "" || slices.Index(priorities, r.Priority) >= least) &&
		equal(string(f.Outcome), string(r.Outcome)) &&
		(isWho(f.Actor, r.Actor.ID, r.Actor.Name) || isWho(f.Actor, r.Actor.OnBehalfOf.ID, r.Actor.OnBehalfOf.Name)) &&
		isWho(f.OnBehalfOf, r.Actor.OnBehalfOf.ID, r.Actor.OnBehalfOf.Name) &&
		equal(f.Target, r.Target.ID) && equal(f.TargetKind, r.Target.Kind) && equal(f.Address, r.Actor.Address) && equal(f.RequestID, r.Actor.RequestID) &&
		(f.From.IsZero() || !r.Time.Before(f.From)) && (f.To.IsZero() || r.Time.Before(f.To))
}

// isWho is true of somebody's id and of a part of their name. Nothing asked for
// is everybody.
func isWho(asked string, who id.ID, name string) bool {
	return asked == "" || strings.EqualFold(asked, who.String()) || strings.Contains(strings.ToLower(name), strings.ToLower(asked))
}

// textQuery is what a person searches for: one of the groups must match.
type textQuery []textGroup

// textGroup are phrases that must all be there, and those that must not.
type textGroup struct{ with, without [][]string }

// parseText reads words, "phrases", or, and -without.
func parseText(text string) textQuery {
	var all textQuery
	var group textGroup
	end := func() {
		if len(group.with)+len(group.without) > 0 {
			all = append(all, group)
		}
		group = textGroup{}
	}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		rest, without := strings.CutPrefix(text, "-")
		var term, after string
		rest, quoted := strings.CutPrefix(rest, `"`)
		if quoted {
			term, after, _ = strings.Cut(rest, `"`)
		} else {
			at := strings.IndexFunc(rest, unicode.IsSpace)
			if at < 0 {
				at = len(rest)
			}
			term, after = rest[:at], rest[at:]
		}
		phrase := tokens(term)
		switch {
		case !quoted && strings.EqualFold(term, "or"):
			end()
		case len(phrase) == 0:
		case without:
			group.without = append(group.without, phrase)
		default:
			group.with = append(group.with, phrase)
		}
		text = after
	}
	end()
	return all
}

func (q textQuery) matches(words []string) bool {
	has := func(phrase []string) bool {
		for at := 0; at+len(phrase) <= len(words); at++ {
			if slices.Equal(words[at:at+len(phrase)], phrase) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(q, func(g textGroup) bool {
		return !slices.ContainsFunc(g.with, func(p []string) bool { return !has(p) }) && !slices.ContainsFunc(g.without, has)
	})
}

func tokens(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// wordsOf are the words of all texts and numbers of a body, and of its event.
// An empty one stands between two texts, so that no phrase goes from one to the next.
func wordsOf(event string, body []byte) []string {
	words := tokens(event)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		case string:
			words = append(append(words, ""), tokens(v)...)
		case json.Number:
			words = append(append(words, ""), tokens(v.String())...)
		}
	}
	var tree any
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if d.Decode(&tree) == nil {
		walk(tree)
	}
	return words
}
