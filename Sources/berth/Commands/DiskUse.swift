import AuthorCommands
import Glibc
import JSONText
import Orchestrator
import StdioBridge

/// What an installation takes on its disk, and what is free there.
///
/// Measured without following a link: a part of it is written by the gateway's user.
struct DiskUse {
    /// Base and builder trees of every state of this host.
    static let sharedCache = "/var/cache/berth"

    /// Bytes on disk. Layers share files with the shared cache, where both lie on one file system: those count in both.
    let images: Int
    let cache: Int
    let logs: Int
    /// The journal; its copy for queries counts as a database.
    let audit: Int
    /// With the copies from before upgrades.
    let databases: Int
    let free: Int

    init(_ installation: Installation) {
        func bytes(_ directory: String, _ names: [String]) -> Int { names.reduce(0) { $0 + HostFiles.bytes(directory + "/" + $1) } }
        func databases(_ directory: String) -> Int {
            bytes(directory, (directoryNames(directory) ?? []).filter { $0.contains(".db") })
        }
        images = HostFiles.bytes(installation.orchestratorState + "/images")
        cache = HostFiles.bytes(Self.sharedCache)
        logs = HostFiles.bytes(installation.log) + HostFiles.bytes(installation.orchestratorState + "/logs")
        audit = HostFiles.bytes(installation.gatewayState + "/audit")
        self.databases = databases(installation.orchestratorState) + databases(installation.gatewayState)
        free = BuildRoom.free(installation.state) ?? 0
    }

    var json: JSONValue {
        .record(
            ("images", .int(images)), ("shared_cache", .int(cache)), ("logs", .int(logs)), ("audit", .int(audit)), ("databases", .int(databases)),
            ("free", .int(free)))
    }

    /// - Parameter room: what a build needs free, in bytes.
    func line(room: Int) -> String {
        let parts = [("images", images), ("shared cache", cache), ("logs", logs), ("audit log", audit), ("databases", databases)]
        return parts.map { "\($0) \(Bytes.text($1))" }.joined(separator: " · ") + "   free \(Bytes.text(free))"
            + (free < room ? " — under \(Bytes.text(room)): nothing is built; calls go on" : "")
    }
}
