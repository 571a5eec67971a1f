import Glibc
public import MCP
import NIOCore
import NIOPosix
public import RemoteClient
import StdioBridge
public import Wire

/// `berth connect`: a STDIO server in front of a URL, for clients that speak only STDIO. Both eras on both sides.
public final class StandaloneConnect: Sendable {
    /// How long calls may go on once the client has closed its end.
    private static let farewell: TimeAmount = .seconds(5)
    /// How long the client may take over what was written for it.
    private static let lastLines = 2
    private static let longestLine = 16 << 20

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let loop: any EventLoop
    private let output = LineOutput(descriptor: 1)
    private let ended: EventLoopPromise<Void>
    private let parts: NIOLoopBoundBox<Parts?>

    /// Confined to the loop. A class, so that a line that grows is not copied with it.
    private final class Parts {
        let remote: RemoteServer
        let front: StdioFront
        var framer = LineFramer(limit: StandaloneConnect.longestLine)
        var isEnding = false

        init(remote: RemoteServer, front: StdioFront) {
            self.remote = remote
            self.front = front
        }
    }

    /// - Parameters:
    ///   - security: for an `https` address.
    ///   - explain: what the client is told of a server that does not answer, and the status of its last answer that was none of MCP.
    ///   - log: takes a line about the server, for people; must not block.
    public init(
        _ address: RemoteAddress, token: String?, security: (any ClientSecurity)? = nil,
        explain: @escaping @Sendable (Undelivered, _ status: Int?) -> Undelivered = { why, _ in why },
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        let loop = group.next()
        self.loop = loop
        ended = loop.makePromise()
        parts = NIOLoopBoundBox.makeBoxSendingValue(nil, eventLoop: loop)
        loop.execute { [parts, output] in
            let remote = RemoteServer(address, token: token, security: security, eventLoop: loop)
            remote.log = log
            let complaints = ConnectComplaints(next: remote, explain: { [unowned remote] in explain($0, remote.lastStatus) }, log: log)
            let host = ConnectHost(remote, complaints)
            let settings = FrontSettings(maximumBytes: Self.longestLine, sessionsHaveServers: true)
            let front = StdioFront(front: MCPFront(service: complaints, host: host, settings: settings)) { output.write($0) ? .more : .pause }
            front.onDeclared = { host.declared = $0 }
            parts.value = Parts(remote: remote, front: front)
            let resumed = NIOLoopBound(front, eventLoop: loop)
            output.onDrained = { loop.execute { resumed.value.resume() } }
        }
        output.onBroken = { [weak self] in self?.stop() }
    }

    /// Serves `input` until it ends, or until `stop()`.
    public func run(input: Int32 = 0) async {
        // Blocked in read() until its input ends, so it is nobody's to wait for.
        NIOThreadPool.singleton.submit { [self] _ in read(input) }
        _ = try? await ended.futureResult.get()
        await output.finish(within: Self.lastLines)
        try? await group.shutdownGracefully()
    }

    /// Ends at once: calls under way are cancelled, and the session is deleted.
    public func stop() {
        loop.execute { [self] in end() }
    }

    /// On a thread of its own, which the loop's pace slows down.
    private func read(_ input: Int32) {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(input, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN {
                // Whoever gave us this end does not wait on it.
                var one = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
                poll(&one, 1, -1)
                continue
            }
            guard count > 0 else { break }
            let bytes = ByteBuffer(bytes: chunk.prefix(count))
            guard (try? loop.submit { [self] in take(bytes) }.wait()) != nil else { return }
        }
        loop.execute { [self] in inputEnded() }
    }

    private func take(_ bytes: ByteBuffer) {
        guard let current = parts.value else { return }
        current.framer.append(bytes)
        while let frame = current.framer.next() { take(frame, current.front) }
    }

    private func take(_ frame: LineFramer.Frame, _ front: StdioFront) {
        switch frame {
        case .line(let line): front.received(line: line)
        case .oversized(let prefix, _): front.receivedOversized(prefix: prefix, limit: Self.longestLine)
        }
    }

    private func inputEnded() {
        guard let current = parts.value, !current.isEnding else { return }
        if let last = current.framer.finish() { take(last, current.front) }
        current.front.onIdle = { [weak self] in self?.end() }
        loop.scheduleTask(in: Self.farewell) { [weak self] in self?.end() }
        current.front.inputEnded()
    }

    private func end() {
        guard let current = parts.value, !current.isEnding else { return }
        current.isEnding = true
        current.front.onIdle = nil
        current.front.end()
        current.remote.close { [ended] in ended.succeed() }
    }
}

/// The one client's session. Confined to the loop.
private final class ConnectHost: FrontHost {
    private static let session = "stdio"
    private let remote: RemoteServer
    private let complaints: ConnectComplaints
    private var record: LegacySessionRecord?
    var declared: ByteBuffer?

    init(_ remote: RemoteServer, _ complaints: ConnectComplaints) {
        self.remote = remote
        self.complaints = complaints
    }

    func identity(
        for caller: FrontCaller, version: String, declaring: ByteBuffer?, completion: @escaping (Result<ServerIdentity, MCPError>) -> Void
    ) {
        if version != ProtocolVersion.modern { remote.prefer(.legacy) }
        remote.identity(declaring: declared) { [complaints] in completion($0.mapError { MCPError(complaints.told($0)) }) }
    }

    func openSession(_ new: LegacySessionRecord, caller: FrontCaller, completion: @escaping (Result<String, MCPError>) -> Void) {
        record = new
        completion(.success(Self.session))
    }

    func session(id: String, caller: FrontCaller, completion: @escaping (LegacySessionRecord?) -> Void) { completion(record) }
    func closeSession(id: String, caller: FrontCaller) { record = nil }
    func parameterHeaders(for caller: FrontCaller) -> [String: ParameterHeaders] { [:] }
    func context(for caller: FrontCaller, session: String?) -> CallContext { CallContext(session: SessionKey(id: Self.session)) }
}
