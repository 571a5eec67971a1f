import Glibc
import NIOCore
import Standalone
import StdioBridge
import Wire

/// The options of `berth bridge`, checked, as the bridge takes them.
extension Bridge {
    func settings(_ log: BridgeLog) throws -> StandaloneConfiguration {
        guard (0...65_535).contains(port) else { throw Failure("--port \(port) is out of range", hint: "0 to 65535", code: 64) }
        let tokens = try bearerTokens()
        try checkHost(log)
        try checkNames()
        guard let idleSeconds = IdleTime.seconds(idle) else {
            throw Failure("--idle '\(idle.prefix(64))' is no time", hint: "30s, 15m, 2h, or seconds, up to a week", code: 64)
        }
        guard (1...1_024).contains(maxProcesses) else {
            throw Failure("--max-processes \(maxProcesses) is out of range", hint: "1 to 1024", code: 64)
        }
        try PortCheck.freeForBridge(host: host, port)
        var limits = BridgeLimits()
        limits.idle = .seconds(idleSeconds)
        // Whoever wants processes kept for days has them work by themselves too.
        if idleSeconds > 86_400 { limits.burn = .seconds(idleSeconds) }
        limits.sharing = mode
        limits.children = maxProcesses
        limits.era = era
        return StandaloneConfiguration(
            servers: try servers(log), host: host, port: port, allowedHosts: allowHost, allowedOrigins: allowOrigin, tokens: tokens,
            limits: limits, watches: watch, exitsOnCrash: exitOnCrash, trace: traceBodies ? .bodies : trace ? .messages : .off)
    }

    private func checkHost(_ log: BridgeLog) throws {
        guard let address = IPAddress(host) else {
            throw Failure("--host '\(host.prefix(64))' is no numeric address", hint: "for example 127.0.0.1, ::1 or 0.0.0.0", code: 64)
        }
        guard address.isLoopback || tokenFile != nil else {
            throw Failure(
                "--host \(host) without --token-file would let everybody who reaches this host call the server",
                hint: "add --token-file FILE, or leave --host out", code: 64)
        }
        if address.bytes.allSatisfy({ $0 == 0 }), allowHost.isEmpty {
            log.warn("--host \(host) is every address of this host and no name: clients are refused but for those named with --allow-host")
        }
    }

    private func checkNames() throws {
        let isHostByte: (UInt8) -> Bool = { byte in
            (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || ".-_:[]".utf8.contains(byte)
        }
        for name in allowHost where name.isEmpty || !name.utf8.allSatisfy(isHostByte) {
            throw Failure("--allow-host '\(name.prefix(64))' is no HOST or HOST:PORT", hint: "for example mcp.example.org", code: 64)
        }
        for origin in allowOrigin {
            let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3, ["http:", "https:"].contains(parts[0]), parts[1].isEmpty, !parts[2].isEmpty,
                parts[2].utf8.allSatisfy(isHostByte)
            else {
                throw Failure(
                    "--allow-origin '\(origin.prefix(64))' is no origin", hint: "scheme, host and port alone: https://app.example.org", code: 64)
            }
        }
    }

    /// - Throws: also when others could have read the file.
    private func bearerTokens() throws -> BearerTokens? {
        guard let tokenFile else { return nil }
        var info = stat()
        guard stat(tokenFile, &info) == 0, let bytes = readFile(tokenFile) else {
            throw Failure("--token-file \(tokenFile) cannot be read: \(String(cString: strerror(errno)))", hint: "give the path of a file", code: 64)
        }
        guard info.st_mode & 0o077 == 0 else {
            throw Failure("--token-file \(tokenFile) is readable by others", hint: "chmod 600 \(tokenFile)", code: 64)
        }
        return try BearerTokens(parsing: bytes, file: tokenFile)
    }
}
