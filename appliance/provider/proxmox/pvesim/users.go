package pvesim

import (
	"maps"
	"slices"
	"strings"
)

func listUsers(req *call) (any, error) {
	result := []any{}
	for _, id := range sortedKeys(req.state.Users) {
		if id != req.who.user && !req.canAny("/access/groups", "User.Modify", "Sys.Audit") {
			continue
		}
		_, realm, _ := strings.Cut(id, "@")
		entry := map[string]any{"userid": id, "realm-type": realm, "enable": flag(req.state.Users[id].Enable), "expire": req.state.Users[id].Expire}
		req.state.Users[id].addDetails(entry)
		result = append(result, entry)
	}
	return result, nil
}

func (u *user) addDetails(entry map[string]any) {
	for key, value := range map[string]string{"comment": u.Comment, "email": u.Email, "firstname": u.First, "lastname": u.Last, "keys": u.Keys} {
		if value != "" {
			entry[key] = value
		}
	}
}

func createUser(req *call) (any, error) {
	id := req.p["userid"]
	if req.state.Users[id] != nil {
		return nil, fail("create user failed: user '%s' already exists", id)
	}
	u := &user{Enable: true, Tokens: map[string]*token{}}
	if err := req.fill(u); err != nil {
		return nil, err
	}
	if req.p.has("password") {
		u.setPassword(req.p["password"])
	}
	req.state.Users[id] = u
	return nil, nil
}

// fill takes over what a request says about a user.
func (req *call) fill(u *user) error {
	for key, field := range map[string]*string{"comment": &u.Comment, "email": &u.Email, "firstname": &u.First, "lastname": &u.Last, "keys": &u.Keys} {
		if value, ok := req.p[key]; ok {
			*field = value
		}
	}
	u.HasEmail = u.HasEmail || req.p.has("email")
	if req.p.has("enable") {
		u.Enable = req.p.flag("enable")
	}
	if req.p.has("expire") {
		u.Expire = int64(req.p.int("expire"))
	}
	if !req.p.has("groups") {
		return nil
	}
	if !req.p.flag("append") {
		u.Groups = nil
	}
	for _, name := range splitList(req.p["groups"]) {
		if req.state.Groups[name] == nil {
			return fail("group '%s' does not exist", name)
		}
		if !slices.Contains(u.Groups, name) {
			u.Groups = append(u.Groups, name)
		}
	}
	return nil
}

func (req *call) user() (*user, error) {
	if u := req.state.Users[req.p["userid"]]; u != nil {
		return u, nil
	}
	return nil, fail("no such user ('%s')", req.p["userid"])
}

func readUser(req *call) (any, error) {
	u, err := req.user()
	if err != nil {
		return nil, err
	}
	result := map[string]any{"enable": flag(u.Enable), "expire": u.Expire, "groups": append([]string{}, u.Groups...), "tokens": nil}
	if len(u.Tokens) > 0 {
		tokens := map[string]any{}
		for name, t := range u.Tokens {
			tokens[name] = t.info()
		}
		result["tokens"] = tokens
	}
	u.addDetails(result)
	if u.HasEmail {
		result["email"] = u.Email
	}
	return result, nil
}

func updateUser(req *call) (any, error) {
	u, err := req.user()
	if err != nil {
		return nil, err
	}
	return nil, req.fill(u)
}

func deleteUser(req *call) (any, error) {
	id := req.p["userid"]
	if _, err := req.user(); err != nil {
		return nil, fail("delete user failed: user '%s' does not exist", id)
	}
	delete(req.state.Users, id)
	req.state.ACL = slices.DeleteFunc(req.state.ACL, func(e aclEntry) bool { return e.Who == id || strings.HasPrefix(e.Who, id+"!") })
	return nil, nil
}

func (t *token) info() map[string]any {
	result := map[string]any{"privsep": flag(t.Privsep), "expire": t.Expire}
	if t.Comment != "" {
		result["comment"] = t.Comment
	}
	return result
}

func listTokens(req *call) (any, error) {
	u, err := req.user()
	if err != nil {
		return nil, err
	}
	result := []any{}
	for _, name := range sortedKeys(u.Tokens) {
		entry := u.Tokens[name].info()
		entry["tokenid"] = name
		result = append(result, entry)
	}
	return result, nil
}

func (req *call) token() (*user, *token, error) {
	u, err := req.user()
	if err != nil {
		return nil, nil, err
	}
	if t := u.Tokens[req.p["tokenid"]]; t != nil {
		return u, t, nil
	}
	return nil, nil, badParam("tokenid", "no such token '"+req.p["tokenid"]+"' for user '"+req.p["userid"]+"'")
}

func readToken(req *call) (any, error) {
	_, t, err := req.token()
	if err != nil {
		return nil, err
	}
	return t.info(), nil
}

// createToken is the only time that a token's secret is shown.
func createToken(req *call) (any, error) {
	u, err := req.user()
	if err != nil {
		return nil, err
	}
	name := req.p["tokenid"]
	if u.Tokens[name] != nil {
		return nil, badParam("tokenid", "Token already exists.")
	}
	t := &token{Secret: newUUID(), Privsep: req.p["privsep"] != "0", Expire: int64(req.p.int("expire")), Comment: req.p["comment"]}
	u.Tokens[name] = t
	return map[string]any{"full-tokenid": req.p["userid"] + "!" + name, "value": t.Secret, "info": req.givenInfo()}, nil
}

// givenInfo repeats what was asked for a token, as text.
func (req *call) givenInfo() map[string]string {
	info := map[string]string{"privsep": "1"}
	for _, key := range []string{"privsep", "expire", "comment"} {
		if req.p.has(key) {
			info[key] = req.p[key]
		}
	}
	return info
}

func updateToken(req *call) (any, error) {
	_, t, err := req.token()
	if err != nil {
		return nil, err
	}
	if req.p.has("comment") {
		t.Comment = req.p["comment"]
	}
	if req.p.has("expire") {
		t.Expire = int64(req.p.int("expire"))
	}
	if req.p.has("privsep") {
		t.Privsep = req.p.flag("privsep")
	}
	return t.info(), nil
}

func deleteToken(req *call) (any, error) {
	u, _, err := req.token()
	if err != nil {
		return nil, err
	}
	name := req.p["userid"] + "!" + req.p["tokenid"]
	maps.DeleteFunc(u.Tokens, func(id string, _ *token) bool { return id == req.p["tokenid"] })
	req.state.ACL = slices.DeleteFunc(req.state.ACL, func(e aclEntry) bool { return e.Kind == "token" && e.Who == name })
	return nil, nil
}
