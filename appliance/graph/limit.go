package graph

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
)

// The limits of one request. What is over one of them is not executed, nor
// validated, whose cost grows faster than the text.
const (
	maxBody       = 64 << 10 // bytes
	maxTokens     = 4000     // stops the parser
	maxDepth      = 20       // selections within selections; introspection needs 15
	maxFields     = 500      // fields in all, fragments counted where they are used
	maxDirectives = 50
	maxCost       = 25_000 // fields times the entries of the lists they are in
)

// check bounds a document before it is validated.
func check(query string) *gqlerror.Error {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, maxTokens)
	if err != nil {
		return gqlerror.WrapIfUnwrapped(err)
	}
	m := measure{fragments: map[string]*ast.FragmentDefinition{}, within: map[string]bool{}}
	for _, f := range doc.Fragments {
		m.fragments[f.Name] = f
	}
	for _, o := range doc.Operations {
		m.directives += len(o.Directives)
		if err := m.selections(o.SelectionSet, 1); err != nil {
			return gqlerror.Errorf("%s", err)
		}
	}
	return nil
}

// measure counts what a document asks for.
type measure struct {
	fragments          map[string]*ast.FragmentDefinition
	within             map[string]bool // fragments that are being counted
	fields, directives int
}

func (m *measure) selections(set ast.SelectionSet, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("the query is nested deeper than %d levels: ask for less at once", maxDepth)
	}
	for _, s := range set {
		if err := m.selection(s, depth); err != nil {
			return err
		}
		if m.fields > maxFields {
			return fmt.Errorf("the query asks for more than %d fields: ask for less at once", maxFields)
		}
		if m.directives > maxDirectives {
			return fmt.Errorf("the query has more than %d directives: leave some out", maxDirectives)
		}
	}
	return nil
}

func (m *measure) selection(s ast.Selection, depth int) error {
	switch s := s.(type) {
	case *ast.Field:
		m.fields++
		m.directives += len(s.Directives)
		if len(s.SelectionSet) == 0 {
			return nil
		}
		return m.selections(s.SelectionSet, depth+1)
	case *ast.InlineFragment:
		m.directives += len(s.Directives)
		return m.selections(s.SelectionSet, depth+1)
	case *ast.FragmentSpread:
		return m.spread(s, depth)
	}
	return nil
}

func (m *measure) spread(s *ast.FragmentSpread, depth int) error {
	m.fields++ // a spread costs something even when its fragment is empty
	m.directives += len(s.Directives)
	f := m.fragments[s.Name]
	if f == nil {
		return fmt.Errorf("there is no fragment %q", s.Name)
	}
	if m.within[s.Name] {
		return fmt.Errorf("the fragment %q contains itself", s.Name)
	}
	m.within[s.Name] = true
	defer delete(m.within, s.Name)
	return m.selections(f.SelectionSet, depth)
}
