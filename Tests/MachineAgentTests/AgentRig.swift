import CLinux
import Door
import Glibc
import JSONText
import NIOCore
import NIOPosix
import Sealing
import Synchronization
import TestSupport
import Testing
import Wire

/// The real agent as a plain root process on this host: a unix socket as descriptor 3, a boot document as descriptor 4.
final class AgentRig: @unchecked Sendable {
    // Sendable by `tokens`, the only mutable part, which is guarded by its lock.
    static let isPossible = geteuid() == 0 && access(binary, X_OK) == 0
    private static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
    static let binary = getenv("BERTH_AGENT").map { String(cString: $0) } ?? root + "/.build/debug/berth-agent"
    static let fixtures = root + "/Tests/Fixtures/"
    private static let client = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1))
    /// A range of its own for each agent: `kill(-1)` runs under these on this very host.
    private static let ranges = Mutex(uid_t(1_000_000_000 + UInt32(getpid() % 10_000) * 100_000))

    let pid: pid_t
    let firstUID: uid_t
    let keys: DoorKeys
    let door: Endpoint
    private let directory: String
    private let tokens: Mutex<Tokens>
    private let exit = Mutex<(code: Int32, signal: Int32)?>(nil)

    private struct Tokens: @unchecked Sendable {
        // Only ever used under the mutex that holds it.
        let sender: TokenSender
        let minter: TokenMinter
        let appMinter: TokenMinter
    }

    static func with(
        _ fixture: String = "fixture.py", command: [String]? = nil, environment: [String: String] = [:], transport: BootDocument.Transport = .stdio,
        http: BootDocument.HTTPPlace? = nil, startTimeout: Int = 30, limits: BootDocument.ChildLimits = BootDocument.ChildLimits(),
        stuckLog: Bool = false, ownFolders: Bool = false, owner: String? = nil, takesAppTokens: Bool = false,
        body: (AgentRig) async throws -> Void
    ) async throws {
        let rig = try AgentRig(
            command: command ?? ["python3", "-B", fixtures + fixture, "argument"], environment: environment,
            transport: http == nil ? transport : .http, http: http, startTimeout: startTimeout, limits: limits, stuckLog: stuckLog,
            ownFolders: ownFolders, owner: owner, takesAppTokens: takesAppTokens)
        do {
            try await body(rig)
        } catch {
            await rig.stop()
            throw error
        }
        await rig.stop()
    }

    private init(
        command: [String], environment: [String: String], transport: BootDocument.Transport, http: BootDocument.HTTPPlace?, startTimeout: Int,
        limits: BootDocument.ChildLimits, stuckLog: Bool, ownFolders: Bool, owner: String?, takesAppTokens: Bool
    ) throws {
        firstUID = Self.freshUID()
        var template = Array("/tmp/berth-agent-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw POSIXProblem(step: "mkdtemp") }
        directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
        door = .unix(path: directory + "/door")

        let root = try AppRoot(secret: Secret(try randomBytes(32)))
        keys = try DoorKeys(root: root, machine: "0123456789abcd", boot: "01JZZZZZZZZZZZZZZZZZZZZZZZ")
        let appKeys = try DoorKeys(root: root, app: "app")
        let sender = TokenSender()
        tokens = Mutex(
            Tokens(
                sender: sender, minter: try sender.minter(for: keys, org: "org", issuer: "gateway"),
                appMinter: try sender.minter(for: appKeys, org: "org", issuer: "gateway")))
        let document = BootDocument(
            org: "org", app: "app", keys: keys, machine: "0123456789abcd", boot: "01JZZZZZZZZZZZZZZZZZZZZZZZ", command: command,
            directory: "/", environment: environment, transport: transport, http: http, childLimits: limits,
            startTimeoutSeconds: startTimeout, owner: owner, appKeys: takesAppTokens ? appKeys : nil)
        let output = stuckLog ? try Self.fullPipe() : open(directory + "/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        pid = try Self.spawn(socket: directory + "/door", output: output, document: try document.encode(), firstUID: firstUID, ownFolders: ownFolders)
    }

    /// As a machine has them, so that they can be filled.
    private static let mounts = """
        export PATH=/usr/sbin:/usr/bin:/sbin:/bin
        for place in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o mode=1777,size=16m,nr_inodes=4k tmpfs $place || exit 1; done
        exec "$0" "$@"
        """

    /// The first of a hundred that nobody has.
    static func freshUID() -> uid_t {
        ranges.withLock { next in
            defer { next += 100 }
            return next
        }
    }

    private static func spawn(socket path: String, output: Int32, document: [UInt8], firstUID: uid_t, ownFolders: Bool) throws -> pid_t {
        let listener = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard bound == 0, listen(listener, 128) == 0 else { throw POSIXProblem(step: "bind") }
        let memory = clinux_memfd_create("boot", 0)
        guard document.withUnsafeBytes({ write(memory, $0.baseAddress, $0.count) }) == document.count, clinux_memfd_seal(memory) == 0 else {
            throw POSIXProblem(step: "memfd")
        }
        defer { for descriptor in [listener, memory, output] { close(descriptor) } }

        let words = ["agent", "--first-uid", String(firstUID)]
        let pid =
            ownFolders
            ? spawn(["unshare", "--mount", "sh", "-c", mounts, binary] + words, path: "/usr/bin/unshare", output: output, extra: [listener, memory])
            : spawn(["berth-agent"] + words, output: output, extra: [listener, memory])
        guard pid > 0 else { throw POSIXProblem(step: "spawn \(pid)") }
        return pid
    }

    /// The writing end of a pipe with no room whose reader never reads; the reader stays open with the test process.
    private static func fullPipe() throws -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard clinux_pipe_cloexec(&ends) == 0 else { throw POSIXProblem(step: "pipe") }
        _ = clinux_set_nonblocking(ends[1], 1)
        let bytes = [UInt8](repeating: 0x2E, count: 4096)
        while write(ends[1], bytes, bytes.count) > 0 {}
        _ = clinux_set_nonblocking(ends[1], 0)
        return ends[1]
    }

    private static func spawn(_ words: [String], path: String = binary, output: Int32, extra: [Int32]) -> pid_t {
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for case .some(let argument) in arguments { free(argument) } }
        var nothing: UnsafeMutablePointer<CChar>?
        return extra.withUnsafeBufferPointer { extra in
            var options = clinux_spawn_options()
            options.stdio = (-1, output, output)
            (options.extra, options.extra_count) = (extra.baseAddress, Int32(extra.count))
            options.new_session = 1
            return clinux_spawn(path, arguments, &nothing, &options)
        }
    }

    /// Work that blocks, away from the threads that the tests share.
    static func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await NIOThreadPool.singleton.runIfActive(body)
    }

    /// Runs the binary to its end without any descriptor; its exit status, -1 for a signal. Blocks.
    static func run(_ arguments: [String]) -> Int32 { run(["berth-agent"] + arguments, path: binary) }

    /// The same for another program.
    static func run(_ words: [String], path: String) -> Int32 {
        let pid = spawn(words, path: path, output: -1, extra: [])
        var status: Int32 = 0
        guard pid > 0, waitpid(pid, &status, 0) == pid, status & 0x7F == 0 else { return -1 }
        return status >> 8 & 0xFF
    }

    /// What the agent does after a child, for one that could not any more.
    func runKillMode() async throws {
        if try await Self.blocking({ [firstUID] in Self.run(["kill", String(firstUID)]) }) != 0 { throw POSIXProblem(step: "kill mode") }
    }

    /// Runs `body` beside a program that has the reading end of a pipe as descriptors 3 and 4, into which nothing is ever written.
    static func beside(_ words: [String], path: String, _ body: (pid_t) async throws -> Void) async throws {
        var ends: [Int32] = [-1, -1]
        guard clinux_pipe_cloexec(&ends) == 0 else { throw POSIXProblem(step: "pipe") }
        defer { for descriptor in ends { close(descriptor) } }
        let pid = spawn(words, path: path, output: -1, extra: [ends[0], ends[0]])
        guard pid > 0 else { throw POSIXProblem(step: "spawn \(pid)") }
        defer {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        try await body(pid)
    }

    // MARK: The agent's life

    var log: String {
        let descriptor = open(directory + "/log", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while case let count = read(descriptor, &chunk, chunk.count), count > 0 { all.append(contentsOf: chunk.prefix(count)) }
        return String(decoding: all, as: UTF8.self)
    }

    /// The exit status, once it has ended; reaped here and nowhere else.
    func ended() -> (code: Int32, signal: Int32)? {
        exit.withLock { exit in
            if exit == nil {
                var (code, signal): (Int32, Int32) = (0, 0)
                if clinux_reap(pid, &code, &signal) == pid { exit = (code, signal) }
            }
            return exit
        }
    }

    func waitForEnd(within seconds: Double = 120) async -> (code: Int32, signal: Int32)? {
        await eventually("the agent ends", within: seconds) { self.ended() != nil }
        return ended()
    }

    func signal(_ number: Int32) { if ended() == nil { kill(pid, number) } }

    private func stop() async {
        signal(SIGTERM)
        let end = NIODeadline.now() + .seconds(60)
        while ended() == nil, NIODeadline.now() < end { try? await Task.sleep(nanoseconds: 2_000_000) }
        if ended() == nil {
            Issue.record("the agent did not end on SIGTERM: \(log.suffix(2000))")
            signal(SIGKILL)
            _ = await waitForEnd()
        }
        #expect(Self.processes(from: firstUID).isEmpty, "processes of children are left")
        for name in ["door", "log"] { unlink(directory + "/" + name) }
        rmdir(directory)
    }

    /// Whether a process has become the agent's program.
    static func isAgent(_ pid: pid_t) -> Bool {
        var (own, program) = (stat(), stat())
        return stat(binary, &own) == 0 && stat("/proc/\(pid)/exe", &program) == 0 && (own.st_dev, own.st_ino) == (program.st_dev, program.st_ino)
    }

    /// Processes under any uid of an agent's range, by `/proc`.
    static func processes(from uid: uid_t) -> [pid_t] {
        guard let proc = opendir("/proc") else { return [] }
        defer { closedir(proc) }
        var found: [pid_t] = []
        while let name = clinux_next_name(proc).map({ String(cString: $0) }) {
            var info = stat()
            guard let pid = pid_t(name), stat("/proc/" + name, &info) == 0, (uid..<(uid + 100)).contains(info.st_uid) else { continue }
            found.append(pid)
        }
        return found
    }

    // MARK: The door

    func token(principal: String = "ann", session: String = "s") throws -> String {
        try tokens.withLock { try $0.minter.mint(principal: principal, session: session).token }
    }

    /// For the app, as one has it who does not know the machine.
    func appToken(principal: String = "ann", session: String = "s") throws -> String {
        try tokens.withLock { try $0.appMinter.mint(principal: principal, session: session).token }
    }

    struct Answer: Sendable {
        var status: Int
        var type: String
        var body: String
        var json: JSONValue? { try? JSONValue(parsing: body) }
        /// The text of a tool's answer.
        var text: String? { json?["result"]?["content"]?[0]?["text"]?.stringValue }
        var value: JSONValue? { text.flatMap { try? JSONValue(parsing: $0) } }
    }

    func request(
        _ method: String, _ path: String, session: String = "s", principal: String = "ann", headers: [(String, String)] = [], body: String? = nil,
        token: String? = nil
    ) async throws -> Answer {
        let headers = [(HostedToken.headerName, try token ?? self.token(principal: principal, session: session))] + headers
        let response = try await Self.client.execute(method, path, headers: headers, body: body.map { ByteBuffer(string: $0) }, to: door)
        return Answer(
            status: response.status, type: response.headers["content-type"] ?? "", body: String(buffer: try await response.collect(upTo: 32 << 20)))
    }

    func call(
        _ tool: String, _ arguments: String = "{}", session: String = "s", principal: String = "ann", fingerprint: String? = nil,
        progress: Bool = false, capabilities: String = "{}"
    ) async throws -> Answer {
        try await request(
            "POST", "/mcp", session: session, principal: principal, headers: fingerprint.map { [(DoorHeaders.credentials, $0)] } ?? [],
            body: Self.message(tool, arguments, progress: progress, capabilities: capabilities))
    }

    static func message(_ tool: String, _ arguments: String = "{}", progress: Bool = false, capabilities: String = "{}") -> String {
        """
        {"jsonrpc":"2.0","id":"c-1","method":"tools/call","params":{"name":"\(tool)","arguments":\(arguments),"_meta":{\
        "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":\(capabilities),\
        "io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}\(progress ? #","progressToken":5"# : "")}}}
        """
    }

    func put(_ set: CredentialSet, session: String = "s", principal: String = "ann") async throws -> Answer {
        let (token, id) = try tokens.withLock { try $0.minter.mint(principal: principal, session: session) }
        let sealed = try SealedCredentials.seal(set, with: try AEADKey(keys.seal), id: id, session: session, principal: principal)
        let response = try await Self.client.execute(
            "PUT", "/credentials", headers: [(HostedToken.headerName, token)], body: ByteBuffer(bytes: sealed), to: door)
        return Answer(status: response.status, type: "", body: String(buffer: try await response.collect(upTo: 4096)))
    }

    /// Sends raw bytes and answers what comes until the agent closes the connection.
    func raw(_ text: String) async throws -> String {
        guard case .unix(let path) = door else { return "" }
        return try await Self.blocking { try Self.raw(text, to: path) }
    }

    /// A call of a thread's own, and when its answer came, whatever else the tests' threads are busy with.
    func timed(_ tool: String, session: String, principal: String) async throws -> (answer: String, at: ContinuousClock.Instant) {
        guard case .unix(let path) = door else { return ("", .now) }
        let body = Self.message(tool)
        let token = "\(HostedToken.headerName): \(try token(principal: principal, session: session))"
        let text = "POST /mcp HTTP/1.1\r\nhost: d\r\n\(token)\r\nconnection: close\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
        return try await onOwnThread { (try Self.raw(text, to: path, seconds: 120), .now) }
    }

    private static func raw(_ text: String, to path: String, seconds: Int = 5) throws -> String {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        var timeout = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard connected == 0, write(descriptor, text, text.utf8.count) == text.utf8.count else { throw POSIXProblem(step: "connect") }
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 { throw POSIXProblem(step: "the connection stayed open") }
            if count == 0 { return String(decoding: all, as: UTF8.self) }
            all.append(contentsOf: chunk.prefix(count))
        }
    }
}

struct POSIXProblem: Error {
    var step: String
    var number = errno
}

func exists(_ pid: Int) -> Bool { kill(pid_t(pid), 0) == 0 || errno == EPERM }
