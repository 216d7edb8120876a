package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// EventType is what the catalogue says of an event code.
type EventType struct {
	Code string `json:"code"`
	// Category is the domain that the code begins with; Declare fills it in.
	Category string `json:"category"`
	// Priority is the one it usually has; "" is Info. A failure may be recorded
	// with a higher one.
	Priority    Priority `json:"priority"`
	Description string   `json:"description"`
}

var catalogue struct {
	sync.RWMutex
	types map[string]EventType
}

// Declare adds events to the catalogue and returns them. Every domain calls
// it once, for a variable in its file events.go. A code that is declared
// twice is a mistake in the program: Declare panics.
func Declare(types ...EventType) []EventType {
	catalogue.Lock()
	defer catalogue.Unlock()
	if catalogue.types == nil {
		catalogue.types = map[string]EventType{}
	}
	for i, t := range types {
		if _, ok := catalogue.types[t.Code]; ok {
			panic(fmt.Sprintf("the audit event %s is declared twice", t.Code))
		}
		t.Category = Category(t.Code)
		if t.Priority == "" {
			t.Priority = Info
		}
		types[i], catalogue.types[t.Code] = t, t
	}
	return types
}

// Catalogue lists the declared events by code.
func Catalogue() []EventType {
	catalogue.RLock()
	defer catalogue.RUnlock()
	all := make([]EventType, 0, len(catalogue.types))
	for _, t := range catalogue.types {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b EventType) int { return strings.Compare(a.Code, b.Code) })
	return all
}

// EventTypes is the catalogue for a reader of the trail. It returns
// fault.Forbidden without audit:record:read.
func (s *Service) EventTypes(ctx context.Context) ([]EventType, error) {
	if _, err := s.authorise(ctx, ReadPermission); err != nil {
		return nil, err
	}
	return Catalogue(), nil
}
