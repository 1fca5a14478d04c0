package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
)

const (
	userColumns = `u.id, u.name, u.owner, u.body, (SELECT sealed FROM keyset)`
	selectUser  = `SELECT ` + userColumns + ` FROM user u WHERE name = ?`
	selectOwner = `SELECT ` + userColumns + ` FROM user u WHERE owner = ?`
	listUsers   = `SELECT ` + userColumns + ` FROM user u ORDER BY name`
	knowsUsers  = `SELECT EXISTS (SELECT 1 FROM user)`
	knowsOwner  = `SELECT EXISTS (SELECT 1 FROM user WHERE owner = ?)`
	insertUser  = `INSERT INTO user (name, owner, body) VALUES (?, ?, ?)`
	updateUser  = `UPDATE user SET body = ? WHERE id = ?`
)

// Users are the users of a store and their tokens. It is safe for concurrent use.
//
// Who may do what is for the caller to check. Each change leaves an audit event,
// which is written with it.
type Users struct{ s *Store }

// Users gives the store's users.
func (s *Store) Users() *Users { return &Users{s} }

// userBody is what is encrypted of a user: nobody who can write to the file without
// the key makes an admin.
type userBody struct {
	Role     engine.Role `json:"role"`
	Disabled bool        `json:"disabled,omitempty"`
	Created  time.Time   `json:"created"`
}

// Create makes a user. The first admin of the store gets the owner "", which has
// what was made without a user. The error is of kind conflict if there is or was a
// user of that name.
func (u *Users) Create(ctx context.Context, by engine.Actor, name string, role engine.Role) (engine.User, error) {
	user, err := u.newUser(name, role)
	if err != nil {
		return engine.User{}, err
	}
	err = u.s.writeAudited(ctx, fmt.Sprintf("create user %q", name), func(tx *sql.Tx, keys *keys) error {
		user, err = u.create(ctx, tx, keys, by, user)
		return err
	})
	return user, err
}

// Bootstrap makes the first user of a store, an admin, and a token for it. made is
// false, and nothing is changed, if the store has users already.
func (u *Users) Bootstrap(ctx context.Context, name string) (token engine.Token, text string, made bool, err error) {
	user, err := u.newUser(name, engine.RoleAdmin)
	if err != nil {
		return engine.Token{}, "", false, err
	}
	err = u.s.writeAudited(ctx, "create the first user", func(tx *sql.Tx, keys *keys) error {
		var known bool
		if err := tx.QueryRowContext(ctx, knowsUsers).Scan(&known); err != nil || known {
			return err
		}
		if _, err := u.create(ctx, tx, keys, engine.Actor{}, user); err != nil {
			return err
		}
		made = true
		token, text, err = u.createToken(ctx, tx, keys, engine.Actor{}, engine.Token{User: name, Name: "made at the first start"})
		return err
	})
	return token, text, made && err == nil, err
}

func (u *Users) newUser(name string, role engine.Role) (engine.User, error) {
	switch {
	case !engine.ValidUserName(name):
		return engine.User{}, fail(engine.Invalid, "", "user %q: a name is 1 to 64 of a-z 0-9 . _ -, starting with a letter or digit", name)
	case role != engine.RoleAdmin && role != engine.RoleUser:
		return engine.User{}, fail(engine.Invalid, "", "user %q: a role is admin or user, not %q", name, role)
	}
	return engine.User{Name: name, Owner: name, Role: role, Created: u.s.now().UTC().Truncate(time.Second)}, nil
}

// create writes a user, and the audit event.
func (u *Users) create(ctx context.Context, tx *sql.Tx, keys *keys, by engine.Actor, user engine.User) (engine.User, error) {
	if user.Role == engine.RoleAdmin {
		var taken bool
		if err := tx.QueryRowContext(ctx, knowsOwner, "").Scan(&taken); err != nil {
			return engine.User{}, err
		}
		if !taken {
			user.Owner = ""
		}
	}
	body, err := sealUser(keys, user)
	if err != nil {
		return engine.User{}, err
	}
	_, err = tx.ExecContext(ctx, insertUser, user.Name, user.Owner, body)
	if isConstraint(err) {
		return engine.User{}, fail(engine.Conflict, "names are never used again, so that it stays clear who did what",
			"there is or was a user %q", user.Name)
	}
	if err != nil {
		return engine.User{}, err
	}
	return user, u.s.audit(ctx, tx, by.Did(engine.AuditUserCreate, user.Name))
}

// Get gives a user. Its error is of kind notfound if there is none of that name.
func (u *Users) Get(ctx context.Context, name string) (engine.User, error) {
	_, user, err := u.scan(u.s.db.QueryRowContext(ctx, selectUser, name))
	if errors.Is(err, sql.ErrNoRows) {
		return engine.User{}, missingUser(name)
	}
	return user, u.s.explain(fmt.Sprintf("read user %q", name), err)
}

// Owner gives the user whose things are stored under a key. Its error is of kind
// notfound if there is none, as in a store that has no users.
func (u *Users) Owner(ctx context.Context, owner string) (engine.User, error) {
	_, user, err := u.scan(u.s.db.QueryRowContext(ctx, selectOwner, owner))
	if errors.Is(err, sql.ErrNoRows) {
		return engine.User{}, missingUser(owner)
	}
	return user, u.s.explain(fmt.Sprintf("read the user of %q", owner), err)
}

// List gives all users, also disabled ones, sorted by name.
func (u *Users) List(ctx context.Context) ([]engine.User, error) {
	rows, err := u.s.db.QueryContext(ctx, listUsers)
	if err != nil {
		return nil, u.s.explain("list users", err)
	}
	defer func() { _ = rows.Close() }()
	var users []engine.User
	var faults []error
	for rows.Next() {
		_, user, err := u.scan(rows)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		users = append(users, user)
	}
	return users, u.s.explain("list users", errors.Join(append(faults, rows.Err())...))
}

// SetDisabled disables a user, or takes that back. All tokens of a disabled user
// are refused from then on. The error is of kind conflict for the only admin that is
// not disabled.
func (u *Users) SetDisabled(ctx context.Context, by engine.Actor, name string, disabled bool) error {
	return u.s.writeAudited(ctx, fmt.Sprintf("change user %q", name), func(tx *sql.Tx, keys *keys) error {
		id, user, err := u.scan(tx.QueryRowContext(ctx, selectUser, name))
		if errors.Is(err, sql.ErrNoRows) {
			return missingUser(name)
		}
		if err != nil || user.Disabled == disabled {
			return err
		}
		user.Disabled = disabled
		if disabled && user.Role == engine.RoleAdmin {
			if err := u.otherAdmin(ctx, tx, name); err != nil {
				return err
			}
		}
		body, err := sealUser(keys, user)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, updateUser, body, id); err != nil {
			return err
		}
		what := engine.AuditUserEnable
		if disabled {
			what = engine.AuditUserDisable
		}
		return u.s.audit(ctx, tx, by.Did(what, name))
	})
}

// otherAdmin looks for an admin beside the one of that name.
func (u *Users) otherAdmin(ctx context.Context, tx *sql.Tx, name string) error {
	rows, err := tx.QueryContext(ctx, listUsers)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		_, other, err := u.scan(rows)
		if err != nil {
			return err
		}
		if other.Role == engine.RoleAdmin && !other.Disabled && other.Name != name {
			return nil
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return fail(engine.Conflict, "make another admin first", "user %q is the only admin", name)
}

func (u *Users) scan(row scanner) (id int64, user engine.User, err error) {
	var body, sealed []byte
	if err := row.Scan(&id, &user.Name, &user.Owner, &body, &sealed); err != nil {
		return 0, engine.User{}, err
	}
	keys, err := u.s.keys.unwrap(sealed)
	if err != nil {
		return 0, engine.User{}, err
	}
	user, err = openUser(keys, user.Name, user.Owner, body)
	return id, user, err
}

func openUser(keys *keys, name, owner string, body []byte) (engine.User, error) {
	text, err := keys.open(body, userPlace(name, owner), fmt.Sprintf("user %q", name))
	if err != nil {
		return engine.User{}, err
	}
	var b userBody
	if err := json.Unmarshal(text, &b); err != nil {
		return engine.User{}, fmt.Errorf("read user %q: %w", name, err)
	}
	return engine.User{Name: name, Owner: owner, Role: b.Role, Disabled: b.Disabled, Created: b.Created}, nil
}

func sealUser(keys *keys, user engine.User) ([]byte, error) {
	text, err := json.Marshal(userBody{user.Role, user.Disabled, user.Created})
	if err != nil {
		return nil, err
	}
	return keys.seal(text, userPlace(user.Name, user.Owner))
}

func userPlace(name, owner string) []byte { return place("user", name, owner) }

func userTable() sealedTable {
	return sealedTable{
		list:   `SELECT id FROM user`,
		read:   `SELECT body, 'user', name, owner FROM user WHERE id = ?`,
		parts:  3,
		update: `UPDATE user SET body = ? WHERE id = ?`,
	}
}

func missingUser(name string) error {
	return fail(engine.NotFound, "see which there are: weir user list", "no such user: %q", name)
}
