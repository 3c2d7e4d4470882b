package realserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Postgres is a PostgreSQL server with a database of its own in a directory of
// its own. It listens on loopback, where it wants Password, and on a unix socket,
// where it trusts everybody.
type Postgres struct {
	*Process
	// Dir has the socket.
	Dir string
	// Port on 127.0.0.1, and of the socket's name.
	Port int

	log string
}

// What a Postgres begins with.
const (
	PostgresUser     = "greenroom"
	PostgresPassword = "a-password-for-tests-only"
	PostgresDatabase = "postgres"
)

// StartPostgres makes a database and starts its server, which takes a second or
// two. PostgreSQL must be installed; its programs are looked for on PATH and where
// Debian puts them. As root, which it refuses to run as, it is run as nobody.
func StartPostgres() (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "greenroom-pg") // with a short name: it is in the socket's
	if err != nil {
		return nil, err
	}
	p := &Postgres{Dir: dir, log: filepath.Join(dir, "log")}
	if err := p.start(bin); err != nil {
		if p.Process != nil {
			p.End(syscall.SIGQUIT)
		}
		return nil, errors.Join(fmt.Errorf("%w: %s", err, Tail(p.log)), os.RemoveAll(dir))
	}
	return p, nil
}

func (p *Postgres) start(bin string) error {
	user, err := unprivileged(p.Dir)
	if err != nil {
		return err
	}
	secret := filepath.Join(p.Dir, "password")
	if err := os.WriteFile(secret, []byte(PostgresPassword), 0o644); err != nil {
		return err
	}
	data := filepath.Join(p.Dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", PostgresUser, "--pwfile", secret,
		"--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync")
	init.Dir = p.Dir
	if user != nil {
		init.SysProcAttr = as(user, nil)
	}
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	ports, err := Ports(1)
	if err != nil {
		return err
	}
	p.Port = ports[0]
	p.Process, err = StartAs(user, filepath.Join(bin, "postgres"), []string{
		"-D", data, "-k", p.Dir, "-h", "127.0.0.1", "-p", strconv.Itoa(p.Port), "-c", "fsync=off",
	}, nil, p.log)
	if err != nil {
		return err
	}
	return Until("PostgreSQL", func() error {
		if !p.Running() {
			return ErrEnded
		}
		return p.ready(bin)
	})
}

// ready asks it, as it listens before it takes queries.
func (p *Postgres) ready(bin string) error {
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)))
	if err != nil {
		return err
	}
	_ = conn.Close()
	return exec.Command(filepath.Join(bin, "pg_isready"), "-q", "-h", p.Dir, "-p", strconv.Itoa(p.Port)).Run()
}

// DSN is how to connect over the socket, without a password.
func (p *Postgres) DSN() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", p.Dir, p.Port, PostgresUser, PostgresDatabase)
}

// LoopbackDSN is how to connect over TCP, where it wants the password.
func (p *Postgres) LoopbackDSN() string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s sslmode=disable", p.Port, PostgresUser, PostgresDatabase)
}

// Close ends the server, with whatever connections there are, and removes all it
// has.
func (p *Postgres) Close() error {
	p.End(syscall.SIGQUIT)
	return os.RemoveAll(p.Dir)
}

// unprivileged gives dir to a user who is not root, if this process's is. It
// returns that user, or nil.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: nobody, Gid: nobody}, os.Chmod(dir, 0o755)
}

// postgresBin is the directory of the newest version that is installed.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("PostgreSQL is not installed: on Debian, apt-get install postgresql")
	}
	return filepath.Dir(path), nil
}

// version is that of /usr/lib/postgresql/<version>/bin/initdb.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0: an odd name, the last choice
	return n
}

// Exec carries out statements, with semicolons between.
func (p *Postgres) Exec(ctx context.Context, statements string) error {
	conn, err := pgconn.Connect(ctx, p.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, statements).ReadAll()
	return err
}
