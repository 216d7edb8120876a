package audit

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Filter narrows a list of sealed records. All that is set must hold; zero
// members do not narrow.
type Filter struct {
	Before int64 `json:"-"` // sequence numbers below this one (keyset cursor)
	After  int64 `json:"-"` // sequence numbers above this one
	Limit  int   `json:"-"` // 1 to 200
	// Events are codes, or beginnings of codes up to a dot; one must match.
	Events     []string  `json:"event,omitempty" maxItems:"50"`
	Category   string    `json:"category,omitempty" doc:"What the event code begins with."`
	Priority   Priority  `json:"priority,omitempty" enum:"debug,info,notice,warning,error,critical" doc:"The least."`
	Outcome    Outcome   `json:"outcome,omitempty" enum:"success,failure,denied"`
	Actor      string    `json:"actor,omitempty" doc:"Who acted, or on whose behalf: an id, or part of a name in any case."`
	OnBehalfOf string    `json:"on_behalf_of,omitempty" doc:"On whose behalf somebody else acted: an id, or part of a name in any case."`
	Target     string    `json:"target,omitempty"` // an id
	TargetKind string    `json:"target_kind,omitempty"`
	Address    string    `json:"address,omitempty"`
	RequestID  string    `json:"request_id,omitempty"`
	From       time.Time `json:"from,omitzero"` // of the event
	To         time.Time `json:"to,omitzero"`   // not included
	// Text is searched in all texts of a record, as web searches are written: words that
	// must all be there, "a phrase", or, -without. Words are whole words in
	// any case. Records are found by it some seconds after they were sealed.
	Text string `json:"q,omitempty" maxLength:"500"`
}

// empty reports that everything matches.
func (f Filter) empty() bool {
	f.Before, f.After, f.Limit = 0, 0, 0
	if len(f.Events) == 0 {
		f.Events = nil
	}
	return reflect.DeepEqual(f, Filter{})
}

// priorities in the order of how much they matter.
var priorities = []Priority{Debug, Info, Notice, Warning, Error, Critical}

// validate returns fault.Invalid for what cannot be searched.
func (f Filter) validate() error {
	switch {
	case f.Priority != "" && !slices.Contains(priorities, f.Priority):
		return fault.BadField("query.priority", "A priority is debug, info, notice, warning, error or critical.")
	case f.Outcome != "" && f.Outcome != Success && f.Outcome != Failure && f.Outcome != Denied:
		return fault.BadField("query.outcome", "An outcome is success, failure or denied.")
	case len(f.Text) > 500:
		return fault.BadField("query.q", "Search for at most 500 characters.")
	case len(f.Events) > 50:
		return fault.BadField("query.event", "Search for at most 50 events at once.")
	case !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To):
		return fault.BadField("query.to", "The end of the time lies before its beginning.")
	}
	return nil
}

// List returns sealed records of the actor's tenant, newest first. It returns
// fault.Forbidden without audit:record:read.
func (s *Service) List(ctx context.Context, f Filter) ([]Sealed, error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return nil, err
	}
	var all []Sealed
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		var err error
		all, err = s.store.list(ctx, f)
		return err
	})
	return all, err
}

// terms is a filter in terms of what the indexes hold.
type terms struct {
	Filter
	events []string // codes there are; nil does not narrow
	actor  who
	behalf []who
	// none says that nothing can match.
	none bool
}

// who is somebody in terms of the indexes: an id, or the names there are. The
// zero value is everybody.
type who struct {
	id    id.ID
	names []string // nil does not narrow
}

func (w who) set() bool { return !w.id.IsZero() || w.names != nil }

// nobody is true of a part of a name that nobody has.
func (w who) nobody() bool { return w.names != nil && len(w.names) == 0 }

// exact is true of one id or one name.
func (w who) exact() bool { return !w.id.IsZero() || len(w.names) == 1 }

// matching keeps the codes that one of the asked for covers.
func matching(codes, asked []string, category string) []string {
	kept := []string{}
	for _, code := range codes {
		one := len(asked) == 0 || slices.ContainsFunc(asked, func(a string) bool { return covers(a, code) })
		if one && (category == "" || covers(category, code)) {
			kept = append(kept, code)
		}
	}
	return kept
}

// covers is true of a code and of its beginnings up to a dot.
func covers(asked, code string) bool {
	rest, ok := strings.CutPrefix(code, strings.TrimSuffix(asked, "."))
	return ok && (rest == "" || rest[0] == '.')
}

// containing keeps the names that have a part, in any case.
func containing(names []string, part string) []string {
	kept := []string{}
	for _, n := range names {
		if strings.Contains(strings.ToLower(n), strings.ToLower(part)) {
			kept = append(kept, n)
		}
	}
	return kept
}
