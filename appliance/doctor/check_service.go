package doctor

import (
	"context"
	"fmt"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
)

// Part looks whether a part of the appliance works. ready is nil when there is
// no such part here.
func Part(name, group, absent, advice string, ready func() func(context.Context) error) Check {
	return Check{name, group, func(ctx context.Context) Finding {
		ask := ready()
		if ask == nil {
			return unknown(absent)
		}
		began := time.Now()
		if err := ask(ctx); err != nil {
			return fail(fault.Message(err), advice)
		}
		return fine("It works.").with("answer_ms", time.Since(began).Milliseconds())
	}}
}

// Mail looks whether the mail server takes messages, without sending one.
func Mail(configured func(context.Context) bool, probe func(context.Context) error) Check {
	return Check{"mail", Outside, func(ctx context.Context) Finding {
		if !configured(ctx) {
			return unknown("No mail server is set up, so invitations, resets and alerts are not mailed. Set one up under System, Mail.")
		}
		if err := probe(ctx); err != nil {
			return fail(fault.Message(err), "Correct the settings under System, Mail, and send a test message from there.")
		}
		return fine("The mail server takes our sign-in.")
	}}
}

// Cluster is a connection to Proxmox, without its tenant's name.
type Cluster struct {
	ID, Name, Status, Detail string
	Missing                  []string // privileges, as "path: privilege"
	Error                    string   // why the privileges could not be asked for
}

// Proxmox looks at the connections of all tenants: whether they work and
// whether their tokens may do what is needed.
func Proxmox(clusters func(context.Context) ([]Cluster, error)) Check {
	return Check{"proxmox", Outside, func(ctx context.Context) Finding {
		all, err := clusters(ctx)
		if err != nil {
			return unknown("The connections cannot be read: " + fault.Message(err))
		}
		return proxmoxFinding(all).with("connections", len(all))
	}}
}

func proxmoxFinding(all []Cluster) Finding {
	if len(all) == 0 {
		return unknown("No Proxmox cluster is connected.")
	}
	for _, c := range all {
		if c.Status == "fingerprint_changed" || c.Status == "unauthorised" || c.Status == "unreachable" {
			return fail(fmt.Sprintf("The connection %s does not work: %s", c.Name, c.Detail), "Open the connection under Connections; it says what to correct.").with("connection_id", c.ID)
		}
	}
	for _, c := range all {
		if len(c.Missing) > 0 {
			return warn(fmt.Sprintf("The token of %s lacks %d privileges, the first at %s.", c.Name, len(c.Missing), c.Missing[0]),
				"Run the pveum lines that the page of the connection shows.").with("connection_id", c.ID).with("missing", c.Missing)
		}
		if c.Error != "" {
			return warn(fmt.Sprintf("The privileges of %s could not be asked for: %s", c.Name, c.Error), "Open the connection under Connections and test it.").with("connection_id", c.ID)
		}
	}
	if len(all) == 1 {
		return fine("The one connection works and has the privileges it needs.")
	}
	return fine(fmt.Sprintf("All %d connections work and have the privileges they need.", len(all)))
}

// BackupState is how backups are.
type BackupState struct {
	External   bool // the databases lie on a server that is not ours
	Configured bool
	Last       *time.Time // start of the newest that was verified
	AlarmAfter time.Duration
	Error      string // of the last attempt, when it failed
}

// Backups looks at the age of the newest backup. read is nil where there are none.
func Backups(read func(context.Context) (BackupState, error)) Check {
	return Check{"backup", Data, func(ctx context.Context) Finding {
		b, err := read(ctx)
		if err != nil {
			return unknown("The backups cannot be read: " + fault.Message(err))
		}
		return backupFinding(b, time.Now())
	}}
}

func backupFinding(b BackupState, now time.Time) Finding {
	const plan = "Choose a place for backups that is not on this machine under System, Backups, or run `nimbus backup create`."
	switch {
	case b.External:
		return fine("The databases lie on your own server, whose own tools back them up. The folders keys and local of the data directory belong to those backups.")
	case !b.Configured && b.Last == nil:
		return warn("No backup is made.", plan)
	case b.Last == nil:
		return fail("No backup was ever made and verified. "+b.Error, "Look at System, Backups for what keeps it.")
	}
	age := now.Sub(*b.Last)
	said := fmt.Sprintf("The newest verified backup is %s old.", daysText(age))
	f := fine(said)
	switch {
	case b.AlarmAfter > 0 && age > b.AlarmAfter:
		f = fail(said+" "+b.Error, "Look at System, Backups for what keeps it.")
	case b.Error != "":
		f = warn(said+" The last attempt failed: "+b.Error, "Look at System, Backups.")
	case !b.Configured:
		f = warn(said+" No further one is planned.", plan)
	}
	return f.with("age_hours", int(age.Hours()))
}

const (
	checkpointLate = 2 * time.Hour
	verifyEvery    = 30 * 24 * time.Hour
)

// Checkpoints looks whether the audit trail is signed and the signatures leave
// this machine.
func Checkpoints(read func(context.Context) (audit.Health, error)) Check {
	return Check{"audit.checkpoints", Proof, func(ctx context.Context) Finding {
		h, err := read(ctx)
		if err != nil {
			return unknown("The checkpoints cannot be read: " + fault.Message(err))
		}
		return checkpointFinding(h, time.Now()).with("places", h.Places)
	}}
}

func checkpointFinding(h audit.Health, now time.Time) Finding {
	const publish = "Choose where checkpoints are published under Audit settings, Proof: only a copy elsewhere shows that a chain was rewritten as a whole."
	switch {
	case len(h.Broken) > 0:
		return fail(fmt.Sprintf("%d audit chains contradict what was signed before.", len(h.Broken)),
			"Somebody changed or restored the database. Run `nimbus audit verify`; after a restore that you did yourself, run `nimbus audit checkpoint accept-restored`.").with("chains", h.Broken)
	case h.Signer.State == "failing":
		return fail("Checkpoints are not signed: "+h.Signer.Reason, "Bring the key back, mostly the HSM; what was missed is signed then.")
	case h.Checkpoint == nil:
		return unknown("No checkpoint was signed yet; the first one comes within ten minutes.")
	case h.Places == 0:
		return warn("Checkpoints are signed and stay on this machine.", publish)
	case h.Refused != "":
		return warn("A place did not take the checkpoint: "+h.Refused, "Look at Audit settings, Proof, and test the place.")
	case h.Published != nil && h.Checkpoint.Sub(*h.Published) > checkpointLate && now.Sub(*h.Checkpoint) > checkpointLate:
		return warn("No place has taken a checkpoint since "+h.Published.UTC().Format(time.DateTime)+" UTC.", "Look at Audit settings, Proof, and test the places.")
	}
	return fine("Checkpoints are signed and published.").with("newest", h.Checkpoint.UTC())
}

// Verified looks whether the audit trail was verified lately, and what that said.
func Verified(read func(context.Context) (audit.Health, error)) Check {
	return Check{"audit.verified", Proof, func(ctx context.Context) Finding {
		h, err := read(ctx)
		if err != nil {
			return unknown("The verifications cannot be read: " + fault.Message(err))
		}
		return verifiedFinding(h, time.Now())
	}}
}

// Pruning looks whether audit records that could go wait for a collector that
// does not take them.
func Pruning(read func(context.Context) (map[string]audit.Waiting, error)) Check {
	return Check{"audit.pruning", Proof, func(ctx context.Context) Finding {
		waiting, err := read(ctx)
		if err != nil {
			return unknown("What waits to be pruned cannot be read: " + fault.Message(err))
		}
		return pruningFinding(waiting)
	}}
}

func pruningFinding(waiting map[string]audit.Waiting) Finding {
	if len(waiting) == 0 {
		return fine("No audit record that could be pruned waits for a collector.")
	}
	chains, records := map[string]int64{}, int64(0)
	for chain, w := range waiting {
		chains[chain] = w.Records
		records += w.Records
	}
	return warn(fmt.Sprintf("%d audit records whose time is over stay in the database: a collector does not take them.", records),
		"Bring the collector back, or pause or delete its sink under Audit settings, SIEM, in the tenants whose chains are named.").with("chains", chains)
}

func verifiedFinding(h audit.Health, now time.Time) Finding {
	const verify = "Verify it under Audit, or run `nimbus audit verify`."
	switch {
	case h.Verified == nil:
		return warn("The provider's audit trail was never verified.", verify)
	case !h.Sound:
		return fail("The last verification of the provider's audit trail found breaks.", "Run `nimbus audit verify` for the list, and keep a copy of the data directory as evidence.")
	case now.Sub(*h.Verified) > verifyEvery:
		return warn("The provider's audit trail was last verified "+daysText(now.Sub(*h.Verified))+" ago.", verify)
	}
	return fine("The provider's audit trail was verified on "+h.Verified.UTC().Format(time.DateOnly)+" and is whole.").with("verified_at", h.Verified.UTC())
}
