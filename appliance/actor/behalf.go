package actor

import (
	"context"
	"os"
	"strings"

	"nimbus/appliance/id"
)

// Principal is for whom somebody acts.
type Principal struct {
	Kind Kind   `json:"kind"`
	ID   id.ID  `json:"id,omitzero"`
	Name string `json:"name"`
	// Claimed says that nothing proves it.
	Claimed bool `json:"claimed,omitempty"`
}

// Agent acts in somebody's name: a workflow that they began, or an API token of
// theirs.
type Agent struct {
	Kind Kind   `json:"kind"`
	ID   id.ID  `json:"id,omitzero"`
	Name string `json:"name"`
}

// Principal is for whom another one acts who acts for this actor: for whom the
// actor acts itself, or the actor.
func (a Actor) Principal() Principal {
	if a.OnBehalfOf != (Principal{}) {
		return a.OnBehalfOf
	}
	return Principal{Kind: a.Kind, ID: a.ID, Name: a.Name}
}

// Through is the actor while a part of the appliance acts in its name. Rights
// stay the actor's. A part that acts for nobody else stays itself.
func (a Actor) Through(part string) Actor {
	if a.Kind != System || a.OnBehalfOf != (Principal{}) {
		a.Agent = Agent{Kind: System, Name: part}
	}
	return a
}

// By is the actor while whatever acts in the context acts in its name.
func (a Actor) By(ctx context.Context) Actor {
	if now, ok := From(ctx); ok {
		a.Agent = now.Agent
	}
	return a
}

// Recorded is the actor as records have it: where an agent acts in the actor's
// name it is the agent, on behalf of the actor.
func (a Actor) Recorded() Actor {
	if a.Agent == (Agent{}) {
		return a
	}
	a.OnBehalfOf = a.Principal()
	a.Kind, a.ID, a.Name, a.Agent = a.Agent.Kind, a.Agent.ID, a.Agent.Name, Agent{}
	return a
}

// longestClaim bounds the name that somebody claims: more than any system has.
const longestClaim = 256

// AtConsole is somebody with a shell on this machine. Of a command that was run
// through sudo it is on behalf of who ran it, as the environment says: root can
// write anything there, so that it is a claim.
func AtConsole() Actor { return Claiming(SudoUser()) }

// SudoUser is who ran this command through sudo, as the environment says; "" of
// a command that was not.
func SudoUser() string { return os.Getenv("SUDO_USER") }

// Claiming is the console on behalf of an account of the operating system that
// nothing proves; "" is of nobody.
func Claiming(account string) Actor {
	a := Actor{Kind: Console, Name: "console", Address: "console"}
	if account != "" {
		a.OnBehalfOf = Principal{Kind: OSUser, Name: strings.ToValidUTF8(account[:min(len(account), longestClaim)], ""), Claimed: true}
	}
	return a
}
