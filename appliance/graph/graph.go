// Package graph answers GraphQL at /graphql: queries by POST, and
// subscriptions over WebSocket in the graphql-transport-ws protocol. Resolvers
// call the services that REST calls, which authorise; what is asked is bounded
// before it is parsed.
package graph

//go:generate go run github.com/99designs/gqlgen@v0.17.98 generate

import (
	"encoding/json"
	"io"

	"github.com/99designs/gqlgen/graphql"
)

// JSON is a value that goes out as it is stored.
type JSON json.RawMessage

// MarshalGQL implements graphql.Marshaler.
func (j JSON) MarshalGQL(w io.Writer) {
	if len(j) == 0 {
		graphql.Null.MarshalGQL(w)
		return
	}
	_, _ = w.Write(j)
}

// UnmarshalGQL implements graphql.Unmarshaler. No input has such a value.
func (j *JSON) UnmarshalGQL(v any) error {
	raw, err := json.Marshal(v)
	*j = raw
	return err
}
