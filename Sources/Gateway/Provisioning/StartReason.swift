/// Why a server cannot be hosted as it is, in words that stay the same: of its image, or of its start.
public enum StartReason: String, Sendable {
    /// Its program is for another machine, is none, or needs what its root does not have.
    case execFormat = "exec_format"
    /// Said to speak HTTP, and not listening on its port of the loopback device.
    case bindLoopback = "bind_loopback"
    /// It runs, and did not answer MCP's handshake in time.
    case probeTimeout = "probe_timeout"
    /// It ended before it had answered.
    case exitBeforeReady = "exit_before_ready"
    case imageTooLarge = "image_too_large"
    /// It ended because a module that it imports is not there, or is not what it was written for.
    case importError = "import_error"

    /// What a start that failed says of its reason.
    ///
    /// - Parameters:
    ///   - told: the machine's own sentence.
    ///   - stderr: of its last server process.
    /// - Returns: nil where it is none of these; the status that it exited with, where it did.
    static func of(_ told: String, stderr: String, timedOut: Bool) -> (reason: StartReason, code: Int?)? {
        let code = exitCode(told) ?? exitCode(stderr)
        if execSigns.contains(where: { told.contains($0) || stderr.contains($0) }) { return (.execFormat, code) }
        if importSigns.contains(where: { sign in stderr.split(separator: "\n").contains { $0.hasPrefix(sign) || $0.hasPrefix("Error: " + sign) } }) {
            return (.importError, code)
        }
        if told.contains("did not listen on port ") { return (.bindLoopback, nil) }
        if let code { return (.exitBeforeReady, code) }
        if told.contains("was killed by signal ") || told.contains("exited with status ") { return (.exitBeforeReady, nil) }
        return timedOut || timeSigns.contains { told.contains($0) } ? (.probeTimeout, nil) : nil
    }

    /// What the agent says of an `execve` that failed, and what dynamic linkers say of what is missing.
    private static let execSigns = [
        "Exec format error", "error while loading shared libraries: ", "Error loading shared library ", "Error relocating ", "version `GLIBC",
        "version `GLIBCXX", "child: exec /",
    ]
    private static let timeSigns = ["did not answer MCP's handshake", "not ready within "]
    private static let importSigns = ["ModuleNotFoundError", "ImportError", "Cannot find module ", "Cannot find package "]

    private static func exitCode(_ text: String) -> Int? {
        guard let end = text.firstRange(of: "exited with status ")?.upperBound else { return nil }
        return Int(text[end...].prefix { $0.isNumber })
    }
}
