package scim

import (
	"testing"
	"time"
)

var barbara = User{
	ID: "2819c223", ExternalID: "Ext1", UserName: "bjensen@example.com", DisplayName: "Babs", Active: true, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Modified: time.Date(2026, 2, 2, 3, 4, 5, 0, time.UTC),
	Attributes: map[string]any{
		"name": map[string]any{"familyName": "Jensen", "givenName": "Barbara"}, "title": "",
		"emails": []any{
			map[string]any{"value": "bjensen@example.com", "type": "work", "primary": true},
			map[string]any{"value": "babs@home.example", "type": "home"},
		},
		"x509Certificates": []any{map[string]any{"value": "MIIDQz"}},
		EnterpriseSchema:   map[string]any{"department": "Tours", "manager": map[string]any{"value": "26118915"}},
	},
}

// TestFilter asks about one user everything that the grammar can say.
func TestFilter(t *testing.T) {
	t.Parallel()
	r := barbara.resource(func(endpoint, id string) string { return endpoint + "/" + id })
	for text, want := range map[string]bool{
		`userName eq "BJENSEN@example.com"`: true, `USERNAME EQ "bjensen@example.com"`: true, `userName ne "x"`: true, `userName ne "bjensen@example.com"`: false,
		`userName co "JENSEN"`: true, `userName sw "bj"`: true, `userName ew ".com"`: true, `userName sw "jensen"`: false,
		`userName gt "a"`: true, `userName ge "bjensen@example.com"`: true, `userName lt "b"`: false, `userName le "bjensen@example.com"`: true,
		`externalId eq "Ext1"`: true, `externalId eq "ext1"`: false, `id eq "2819C223"`: false,
		`userName eq "b\u006Aensen@example.com"`: true, `displayName eq "\"Babs\""`: false,
		`active eq true`: true, `active eq "True"`: true, `active ne false`: true, `active eq "false"`: false,
		`title pr`: false, `nickName pr`: false, `nickName eq null`: true, `nickName ne null`: false, `displayName ne null`: true, `nickName ne "x"`: true, `nickName eq "x"`: false,
		`name.familyName co "ens"`: true, `name pr`: true, `emails pr`: true, `photos pr`: false,
		`emails.type eq "home"`: true, `emails co "home.example"`: true, `emails eq "babs@home.example"`: true,
		`emails[type eq "work" and value co "@example.com"]`: true, `emails[type eq "home" and value co "@example.com"]`: false,
		`emails[type eq "work"].value eq "bjensen@example.com"`: true, `emails[type eq "home"].value eq "bjensen@example.com"`: false,
		`emails[not (type eq "work")]`: true, `emails[primary eq true].type eq "work"`: true, `emails[primary eq "True"].value ew "example"`: false, `emails[type eq "home"].display pr`: false,
		`meta.created eq "2026-01-02T03:04:05.000Z"`: true, `meta.created lt "2026-01-02T04:04:06+01:00"`: true, `meta.lastModified gt "2026-02-02T03:04:05Z"`: false, `meta.created sw "2026-01"`: true,
		`meta.resourceType eq "User"`: true, `schemas eq "urn:ietf:params:scim:schemas:core:2.0:User"`: true,
		`urn:ietf:params:scim:schemas:core:2.0:User:userName pr`: true, `URN:ietf:params:scim:schemas:extension:enterprise:2.0:user:department eq "tours"`: true,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "26118915"`: true, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "x"`: false,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr`: true,
		// or binds weaker than and, not strongest
		`title pr and title pr or userName pr`: true, `userName pr or title pr and title pr`: true, `(userName pr or title pr) and title pr`: false,
		`not (title pr) and userName pr`: true, `not (title pr and userName pr)`: true, `NOT(userName pr)`: false, `not (title pr or userName pr) or active eq true`: true,
		`  userName   pr  `: true, `x509Certificates eq "MIIDQz"`: true, `x509Certificates.value sw "miid"`: false,
	} {
		f, err := parseFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		b := binding{resolve: userType.resolve}
		holds, err := b.test(f)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if holds(r) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}

// TestBadFilter refuses what is not a filter, or asks what cannot be asked.
func TestBadFilter(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, ` `, `userName`, `userName eq`, `userName xx "a"`, `userName eq a`, `userName eq 'a'`, `userName eq "a`, `userName eq "a\"`, `userName eq "\x"`, `eq "a"`, `"a" eq userName`,
		`(userName pr`, `userName pr)`, `()`, `not userName pr`, `not`, `userName pr and`, `and userName pr`, `userName pr userName pr`, `userName pr or or userName pr`,
		`emails[`, `emails[]`, `emails[type eq "a"`, `emails[type eq "a"].`, `emails[type eq "a"].value`, `emails[emails[type pr]]`, `emails[type eq "a"]].value pr`, `emails[nothing eq "a"]`, `userName[type eq "a"]`, `emails[type eq "a"].nothing pr`,
		`nothing pr`, `emails.nothing pr`, `userName.value pr`, `1userName pr`, `user.Name. pr`, `urn:x:y pr`, `.userName pr`,
		`active gt true`, `active eq "yes"`, `active co "t"`, `x509Certificates gt "a"`, `userName eq 5`, `userName eq true`, `userName gt null`, `meta.created gt "yesterday"`, `meta.created gt 5`, `name eq "a"`, `addresses eq "a"`, `password eq "a"`, `password sw "a"`,
		`userName eq 01`, `userName eq +1`, `userName eq "a" "b"`,
	} {
		f, err := parseFilter(text)
		if err == nil {
			b := binding{resolve: userType.resolve}
			_, err = b.test(f)
		}
		if e := errorOf(err); err == nil || e.Type != InvalidFilter || e.Status != 400 || e.Detail == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestIndexed finds the equality that an index answers, and only where every
// match has it.
func TestIndexed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`userName eq "a"`: "userName", `active eq true and (externalId eq "a" or externalId eq "b") and id eq "c"`: "id", `urn:ietf:params:scim:schemas:core:2.0:User:displayName eq "a"`: "displayName",
		`userName eq "a" or externalId eq "b"`: "", `not (userName eq "a")`: "", `userName ne "a"`: "", `name.givenName eq "a"`: "", `emails[value eq "id"]`: "", `userName eq ""`: "",
	} {
		f, err := parseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		if l, ok := userType.indexed(f); ok != (want != "") || ok && l.attribute != want {
			t.Errorf("%s: %q", text, l.attribute)
		}
	}
	for _, text := range []string{`id eq "g" and members eq "u"`, `members.value eq "u"`, `members[VALUE eq "u"] and displayName eq "x"`} {
		f, err := parseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		if l, _ := groupType.indexed(f); l != (lookup{"members", "u"}) {
			t.Errorf("%s: %v", text, l)
		}
	}
}

// FuzzFilter reads anything without failing badly; what it reads it writes so
// that it means the same.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		`userName eq "bjensen"`, `not (emails[type eq "work" and value co "@x"].value pr) or active eq true and meta.created ge "2026-01-02T03:04:05Z"`,
		`a eq 1.5e3 and (b ne null or c.d sw "\u00e9")`, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "x"`, `((((`, `emails[`, `not not`, "\"\\", `$ref pr`,
	} {
		f.Add(seed)
	}
	r := barbara.resource(func(endpoint, id string) string { return endpoint + "/" + id })
	f.Fuzz(func(t *testing.T, text string) {
		first, err := parseFilter(text)
		if err != nil {
			if errorOf(err).Type != InvalidFilter {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		written := first.String()
		if len(written) > maxFilterLength {
			return
		}
		second, err := parseFilter(written)
		if err != nil || second.String() != written {
			t.Fatalf("%q was written as %q, which gives %v, %v", text, written, second, err)
		}
		b := binding{resolve: userType.resolve, lenient: true}
		one, err1 := b.test(first)
		two, err2 := b.test(second)
		if (err1 == nil) != (err2 == nil) || err1 == nil && one(r) != two(r) {
			t.Fatalf("%q and %q differ: %v, %v", text, written, err1, err2)
		}
	})
}
