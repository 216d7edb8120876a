package appliance

import (
	"nimbus/appliance/approval"
	"nimbus/appliance/audit"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/deployment"
	"nimbus/appliance/identity"
	"nimbus/appliance/node"
	"nimbus/appliance/notification"
	"nimbus/appliance/permission"
	"nimbus/appliance/provider"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

// History is the one migration history over all domains.
func History() ([]db.Migration, error) {
	return db.ReadMigrations(
		web.Migrations,
		node.Migrations,
		audit.Migrations,
		tenancy.Migrations,
		permission.Migrations,
		identity.Migrations,
		breakglass.Migrations,
		notification.Migrations,
		cmdb.Migrations,
		provider.Migrations,
		approval.Migrations,
		deployment.Migrations,
	)
}
