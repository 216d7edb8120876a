package ledger

import (
	"regexp"
	"slices"
	"strings"
)

// PublishedEvent is what bodies of webhooks and lines of syslog that carry a
// checkpoint say that they are.
const PublishedEvent = "audit.checkpoint.published"

// carriedNote is a note on one line: its ends of line are "|", as syslog
// carries it, or "\n", as JSON does. CEF puts a backslash before "=".
var carriedNote = regexp.MustCompile(`nimbus/[^\s"|\\]+(\||\\n)[0-9]+(\||\\n)[A-Za-z0-9+/=\\]+?(\||\\n)(\||\\n)(— [^\s"|\\]+ [A-Za-z0-9+/=\\]+?(\||\\n))+`)

var uncarried = strings.NewReplacer("|", "\n", `\n`, "\n", `\=`, "=")

// SplitNotes takes the notes out of what was published: a file to which each
// new checkpoint is appended, an object, the text of a mail, bodies of webhooks,
// or a log in which lines of syslog are among others. What should be a note
// and is none is returned as it is: whoever opens it gets the reason.
func SplitNotes(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n") // as mails and other systems end their lines
	if strings.Contains(text, PublishedEvent) {
		return carriedNotes(text)
	}
	var all []string
	var one strings.Builder
	signed := false
	flush := func() {
		if strings.TrimSpace(one.String()) != "" {
			all = append(all, withoutProse(one.String()))
		}
		one.Reset()
		signed = false
	}
	for line := range strings.Lines(text) {
		isSignature := strings.HasPrefix(line, "— ")
		if signed && !isSignature {
			flush()
		}
		if one.Len() == 0 && strings.TrimSpace(line) == "" {
			continue
		}
		signed = signed || isSignature
		one.WriteString(line)
	}
	flush()
	return all
}

// withoutProse leaves out what a mail says before its note.
func withoutProse(note string) string {
	if at := strings.Index("\n"+note, "\nnimbus/"); at > 0 {
		return note[at:]
	}
	return note
}

// carriedNotes are those in the lines that say that they carry one.
func carriedNotes(text string) (all []string) {
	for line := range strings.Lines(text) {
		if !strings.Contains(line, PublishedEvent) {
			continue
		}
		found := carriedNote.FindAllString(line, -1)
		if len(found) == 0 {
			all = append(all, line)
		}
		for _, note := range found {
			if note = uncarried.Replace(note); !slices.Contains(all, note) {
				all = append(all, note)
			}
		}
	}
	return all
}
