import ArgumentParser
import AuthorCommands
import CLinux
import FoundationEssentials
import Gateway
import Glibc
import MCP
import Orchestrator
import Persistence

/// `berth state-part`: reads or writes one part of a state for `berth backup` and `berth restore`.
///
/// The gateway's part belongs to the gateway's user, who may be anybody's by then: links, databases, what not. So a
/// process of that user reads it, without any capability, and root's takes a plain stream from it.
struct StatePart: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "state-part", shouldDisplay: false)

    enum Part: String, ExpressibleByArgument, CaseIterable { case gateway, orchestrator }
    enum Action: String, ExpressibleByArgument, CaseIterable {
        /// The part of the state in `--directory`, as a backup of its own on standard output.
        case pack
        /// A backup of that part on standard input, checked.
        case check
        /// The same, and written into `--directory`.
        case unpack
    }

    @Argument var action: Action
    @Argument var part: Part
    /// The part of the state, or where it is to be. A private mount shows it at ``place``.
    @Option var directory: String?
    @Option var created: Int64 = 0
    @Flag var noImages = false

    private static let place = "/run"
    /// In memory, and gone with this process.
    private static let scratch = "/tmp"

    /// The first acts of the process, with one thread and as root.
    static func prepare(_ arguments: [String]) throws {
        let command = try parse(arguments)
        clinux_set_name("berth-part")
        var (uid, gid): (uid_t, gid_t) = (0, 0)
        if command.part == .gateway {
            let user = try GatewayUser.ids()
            (uid, gid) = (user.uid, user.gid)
        }
        try check(clinux_unshare_mounts(), "unshare")
        try check(clinux_mount("none", "/", nil, clinux_ms_private_rec(), nil), "make mounts private")
        // Before the scratch space hides what may lie in /tmp.
        if let directory = command.directory { try check(clinux_mount(directory, place, nil, clinux_ms_bind(), nil), "bind \(directory)") }
        try check(
            clinux_mount("berth", scratch, "tmpfs", clinux_ms_nosuid_nodev_noexec(), "mode=700,uid=\(uid),gid=\(gid)"), "mount its scratch space")
        if command.part == .gateway { try check(clinux_become(uid, gid), "become the user berth") }
        try check(clinux_set_no_new_privs(), "no new privileges")
        // Its memory holds keys, and another process of the gateway's user must not look into it.
        try check(clinux_set_dumpable(0), "undumpable")
        guard chdir("/") == 0 else { throw Failure("/ cannot be entered") }
        umask(0o077)
    }

    func run() throws {
        clinux_ignore_sigpipe()
        do {
            switch action {
            case .pack: try pack()
            case .check, .unpack: try unpack()
            }
        } catch {
            // Nobody else sees it where this process does.
            var failure = Failure(of: error)
            func shown(_ text: String) -> String {
                text.replacing(Self.place + "/", with: (directory ?? part.rawValue) + "/").replacing(Self.scratch + "/", with: part.rawValue + "/")
            }
            failure.message = shown(failure.message)
            failure.hint = failure.hint.map(shown)
            throw failure
        }
    }

    private func pack() throws {
        let writer = try BackupWriter(1, name: "the backup", created: created)
        var manifest = BackupManifest(berth: BerthVersion.current, created: created, holdsImages: !noImages)
        switch part {
        case .gateway: manifest.connectors = try GatewayBackup.pack(directory: Self.place, scratch: Self.scratch, to: writer)
        case .orchestrator:
            manifest.missingImages = try OrchestratorBackup.pack(directory: Self.place, scratch: Self.scratch, images: !noImages, to: writer)
        }
        _ = try writer.finish(manifest)
    }

    private func unpack() throws {
        let reader = try BackupReader(0, source: "the backup")
        let directory = action == .unpack ? Self.place : Self.scratch
        let summary: any Encodable
        switch part {
        case .gateway: summary = try GatewayBackup.unpack(reader, into: directory, keeps: action == .unpack)
        case .orchestrator: summary = try OrchestratorBackup.unpack(reader, into: directory, keeps: action == .unpack)
        }
        Output.raw(Array(try JSONEncoder().encode(summary)))
    }

    private static func check(_ result: Int32, _ what: String) throws {
        guard result >= 0 else { throw Failure("a part of the state cannot be reached: \(what): \(String(cString: strerror(-result)))") }
    }
}

/// The system user that the gateway runs as.
enum GatewayUser {
    static func ids() throws -> (uid: uid_t, gid: gid_t) {
        guard let user = getpwnam("berth") else {
            throw Failure(
                "the system user berth is missing; the gateway runs as it, without any capability",
                hint: "useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin berth")
        }
        return (user.pointee.pw_uid, user.pointee.pw_gid)
    }
}
