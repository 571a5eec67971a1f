import JSONText
import MCP
import NIOCore
import Sealing

/// Seals the `requestState` that a server gives its client to bring back: it leaves the gateway opaque, and comes back only from the
/// same principal, for the same request, in time and once while the gateway runs (multi round-trip requests of 2026-07-28).
final class InputStateService: MCPService {
    /// Characters of a server's own state at most.
    static let stateLimit = 4096
    /// How long a client has to answer; a machine keeps a waiting call for half as long.
    static let lifetime: Int64 = 10 * 60 * 1000

    let eventLoop: any EventLoop
    private let next: any MCPService
    private let key: AEADKey
    private let hash: SHA256
    private let clock: () -> Int64
    private var used = UsedStates()

    /// - Parameter clock: milliseconds since 1970.
    /// - Throws: `SealingError`.
    init(next: any MCPService, key: Secret, clock: @escaping () -> Int64 = WallClock.milliseconds) throws {
        eventLoop = next.eventLoop
        self.next = next
        self.key = try AEADKey(key)
        hash = try SHA256()
        self.clock = clock
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        guard let record = CallRecord.of(context), Self.methods.contains(request.method) else { return next.call(request, in: context, sink: sink) }
        let original = request
        var request = request
        var nonce: ArraySlice<UInt8>?
        if let sealed = request.requestState {
            guard let state = open(sealed, original, record, isUsed: !context.isWatch) else {
                sink.finish(.error(MCPError(code: MCPError.Code.invalidParams, message: Self.refusal)))
                return EndedCall()
            }
            if !context.isWatch { nonce = state.nonce }
            request = request.replacingRequestState(with: state.text)
        }
        let sealing = MappingSink(sink) { [self] outcome in
            switch outcome {
            case .result(let result): return seal(result, original, record)
            case .failed(let why):
                // Nobody saw it: the same answers may be tried again.
                if why.kind == .notDelivered, let nonce { used.remove(nonce, of: record.principal) }
                return .failed(why)
            case .error(let error): return .error(error)
            }
        }
        return next.call(request, in: context, sink: sealing)
    }

    private static let methods: Set<String> = ["tools/call", "prompts/get", "resources/read"]
    private static let refusal = "requestState is not one of ours for this request, was used before, or has expired"

    /// What a state is bound to: who asks what, with which arguments, since a server of the handshake revisions sees those of the first
    /// round alone. No part but the last can hold a zero byte.
    private func identity(_ request: MCPRequest, _ record: CallRecord) throws -> [UInt8] {
        try request.arguments?.withUnsafeReadableBytes { try hash.update($0) }
        let digest = try hash.finish()
        let parts = [record.principal, record.virtualMCP.slug, record.connector?.name ?? "", request.method, request.name ?? request.uri ?? ""]
        return digest + Array(parts.joined(separator: "\0").utf8)
    }

    // MARK: The text

    /// The answer with its state sealed; an error when that cannot be.
    private func seal(_ result: ByteBuffer, _ request: MCPRequest, _ record: CallRecord) -> MCPOutcome {
        guard let span = RequestState.span(in: result) else { return .result(result) }
        guard span.end - span.start <= Self.stateLimit else { return .error(.internalError("the server's requestState is too long")) }
        let expiry = clock() + Self.lifetime
        let plain = withUnsafeBytes(of: expiry.bigEndian) { Array($0) } + (result.getBytes(at: result.readerIndex + span.start, length: span.end - span.start) ?? [])
        guard let sealed = try? key.seal(plain, aad: identity(request, record)) else { return .error(.internalError("the server's requestState cannot be sealed")) }
        return .result(RequestState.replacing(span, in: result, with: Base64URL.encode(sealed)))
    }

    /// The server's own state, a JSON string; nil when it is not ours, not for this request, late, or was here before.
    ///
    /// - Parameter isUsed: whether that uses it up.
    private func open(
        _ text: String, _ request: MCPRequest, _ record: CallRecord, isUsed: Bool
    ) -> (text: [UInt8], nonce: ArraySlice<UInt8>)? {
        guard text.utf8.count <= Base64URL.encodedCount(Self.stateLimit + 8 + AEADKey.overhead), let sealed = Base64URL.decode(text),
            let plain = try? key.open(sealed, aad: identity(request, record)), plain.count > 8
        else { return nil }
        let expiry = plain.prefix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
        let now = clock()
        let nonce = sealed.prefix(AEADKey.nonceSize)
        guard now < expiry,
            isUsed ? used.insert(nonce, of: record.principal, until: expiry, now: now) : !used.contains(nonce, of: record.principal)
        else { return nil }
        return (Array(plain.dropFirst(8)), nonce)
    }
}

/// The states that came back and have not expired, by principal and nonce.
struct UsedStates {
    /// Of one principal. With so many a new one is refused rather than an old one forgotten.
    static let limit = 4096
    private var expiries: [String: [ArraySlice<UInt8>: Int64]] = [:]
    private var nextSweep = Int64.min

    /// - Returns: False when it was here before.
    mutating func insert(_ nonce: ArraySlice<UInt8>, of principal: String, until expiry: Int64, now: Int64) -> Bool {
        if now >= nextSweep {
            expiries = expiries.mapValues { $0.filter { $0.value > now } }.filter { !$0.value.isEmpty }
            nextSweep = now + InputStateService.lifetime
        }
        if expiries[principal, default: [:]].count >= Self.limit { expiries[principal] = expiries[principal]?.filter { $0.value > now } }
        guard expiries[principal, default: [:]].count < Self.limit else { return false }
        return expiries[principal, default: [:]].updateValue(expiry, forKey: nonce) == nil
    }

    func contains(_ nonce: ArraySlice<UInt8>, of principal: String) -> Bool { expiries[principal]?[nonce] != nil }

    /// It was brought back, and reached nobody.
    mutating func remove(_ nonce: ArraySlice<UInt8>, of principal: String) { expiries[principal]?[nonce] = nil }
}
