package identity_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"nimbus/appliance/identity/scim"
	"nimbus/appliance/identity/scim/scimtest"
)

// BenchmarkSCIM asks a tenant of 10,000 people, through the handler, what
// directories ask most. The goals: an equality in 5 ms, a page in 20 ms.
func BenchmarkSCIM(bm *testing.B) {
	b := newBench(bm)
	c := b.directory(b.tenant)
	const people = 10_000
	b.exec(`with made as (insert into core.account (id, email, name, status)
			select gen_random_uuid(), 'person' || n || '@example.com', 'Person ' || n, 'active' from generate_series(1, $2::int) n returning id)
		insert into core.membership (user_id, tenant_id, source) select id, $1, 'scim' from made`, b.tenant, people)
	b.exec(`insert into ` + schema(b.tenant) + `.scim_user (user_id, user_name, user_name_key, display_name, display_name_key, external_id, attributes)
		select id, email, email, name, lower(name), 'ext-' || email,
			jsonb_build_object('emails', jsonb_build_array(jsonb_build_object('value', email, 'type', 'work', 'primary', true)), 'title', 'Engineer',
				'name', jsonb_build_object('familyName', name, 'givenName', 'A'))
		from core.account where email like 'person%'`)
	b.exec(`insert into ` + schema(b.tenant) + `.user_group (id, name, source) values ('0190c1d2-0000-7000-8000-000000000002', 'Everybody', 'scim')`)
	b.exec(`insert into ` + schema(b.tenant) + `.group_member (group_id, member_kind, member_id)
		select '0190c1d2-0000-7000-8000-000000000002', 'user', user_id from ` + schema(b.tenant) + `.scim_user`)
	b.exec(`analyze`)
	someone := query[string](b, `select id::text from core.account where email = 'person7777@example.com'`)
	for _, question := range []struct {
		name, path string
		found      float64
	}{
		{"userName", `/Users?filter=userName%20eq%20%22PERSON7777@example.com%22`, 1},
		{"externalId", `/Users?filter=externalId%20eq%20%22ext-person7777@example.com%22`, 1},
		{"displayName", `/Users?filter=displayName%20eq%20%22person%207777%22`, 1},
		{"first page", `/Users?count=100`, people + 1},
		{"last page", `/Users?count=100&startIndex=9901`, people + 1},
		{"groups without members", `/Groups?excludedAttributes=members&filter=displayName%20eq%20%22everybody%22`, 1},
		{"is a member", `/Groups?filter=id%20eq%20%220190c1d2-0000-7000-8000-000000000002%22%20and%20members%20eq%20%22` + someone + `%22&attributes=id`, 1},
		{"without an index", `/Users?filter=emails%20co%20%22person7777%22`, 1},
	} {
		bm.Run(question.name, func(bm *testing.B) {
			if found := c.send(http.StatusOK, "GET", question.path, nil)["totalResults"]; found != question.found {
				bm.Fatal(fmt.Sprint(found, " instead of ", question.found))
			}
			for bm.Loop() {
				r := httptest.NewRequest("GET", scimtest.Base+scim.Prefix+question.path, nil)
				r.Header.Set("Authorization", "Bearer "+c.token)
				w := httptest.NewRecorder()
				c.handler.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					bm.Fatal(w.Body)
				}
			}
		})
	}
}
