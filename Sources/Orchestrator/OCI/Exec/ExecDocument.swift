import Foundation

/// The `process.json` of a command: a user that nobody else of the machine has, no capability, no way to get one.
///
/// What concerns the machine as a whole (namespaces, seccomp, masked paths, limits) is the machine's own, into which the
/// runtime puts the process.
struct ExecDocument {
    let command: ExecCommand
    let user: UInt32

    /// Processes and threads of the user, within the machine's.
    static let processes = 32
    static let files = 1_024
    /// A file that it writes; `/tmp` is smaller.
    static let fileBytes = 64 << 20

    /// As the agent's children have it.
    static let oomScore = 1_000

    func json() throws(OCIError) -> [UInt8] {
        do {
            return Array(try JSONSerialization.data(withJSONObject: document(), options: [.sortedKeys, .withoutEscapingSlashes]))
        } catch {
            throw OCIError(.invalidSpec, "the command is no JSON: \(error)")
        }
    }

    func document() -> [String: Any] {
        func limit(_ type: String, _ value: Int) -> [String: Any] { ["type": type, "soft": value, "hard": value] }
        let none: [String] = []
        return [
            "terminal": false,
            "user": ["uid": Int(user), "gid": Int(user), "umask": 0o077, "additionalGids": [Int]()] as [String: Any],
            "args": command.arguments,
            // Fixed: a folder that the machine chose could be a link to a descriptor of the runtime.
            "cwd": "/",
            "env": ExecCommand.environment,
            "capabilities": ["bounding": none, "effective": none, "permitted": none, "inheritable": none, "ambient": none],
            "noNewPrivileges": true,
            "oomScoreAdj": Self.oomScore,
            "rlimits": [
                limit("RLIMIT_NPROC", Self.processes), limit("RLIMIT_NOFILE", Self.files), limit("RLIMIT_CORE", 0),
                limit("RLIMIT_MEMLOCK", 65_536), limit("RLIMIT_FSIZE", Self.fileBytes),
            ],
        ]
    }
}
