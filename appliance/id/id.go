// Package id makes and reads the identifiers of everything that is stored:
// UUID version 7 (RFC 9562), so that they sort by the time they were made.
package id

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
)

// ID identifies one thing. The zero ID identifies nothing and is stored as NULL.
type ID uuid.UUID

// New returns a fresh ID. It panics only when the system has no randomness.
func New() ID { return ID(uuid.Must(uuid.NewV7())) }

// Parse reads the canonical text form, with or without hyphens.
func Parse(text string) (ID, error) {
	u, err := uuid.Parse(text)
	if err != nil {
		return ID{}, fmt.Errorf("%q is not an id", text)
	}
	return ID(u), nil
}

// MustParse is Parse for constants.
func MustParse(text string) ID {
	parsed, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return parsed
}

// Derived returns the same ID for the same parts, always (UUID version 8:
// the first 122 free bits of SHA-256 over the length-prefixed parts).
func Derived(parts ...string) ID {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	var u uuid.UUID
	copy(u[:], h.Sum(nil))
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return ID(u)
}

// IsZero reports whether it identifies nothing.
func (i ID) IsZero() bool { return i == ID{} }

// String is the canonical form with hyphens, or "" for the zero ID.
func (i ID) String() string {
	if i.IsZero() {
		return ""
	}
	return uuid.UUID(i).String()
}

// Hex is the form without hyphens, as schema and role names carry it.
func (i ID) Hex() string { return hex.EncodeToString(i[:]) }

// MarshalText implements encoding.TextMarshaler.
func (i ID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; empty text is the zero ID.
func (i *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*i = ID{}
		return nil
	}
	parsed, err := Parse(string(text))
	*i = parsed
	return err
}

// Value implements driver.Valuer: NULL for the zero ID.
func (i ID) Value() (driver.Value, error) {
	if i.IsZero() {
		return nil, nil
	}
	return i.String(), nil
}

// Scan implements sql.Scanner: NULL gives the zero ID.
func (i *ID) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*i = ID{}
		return nil
	case string:
		return i.UnmarshalText([]byte(v))
	case [16]byte:
		*i = ID(v)
		return nil
	case []byte:
		return (*uuid.UUID)(i).Scan(v)
	}
	return fmt.Errorf("cannot read an id from %T", src)
}
