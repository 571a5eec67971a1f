import Sealing

/// The secret of one app, from which both ends derive every boot's keys. The gateway makes it and hands it to the
/// orchestrator once, write-only; no answer and no machine ever holds it.
public struct AppRoot: Sendable {
    /// 32 bytes.
    public let secret: Secret
    /// The first part of every `kid` under this root: a fingerprint that both ends derive, one per (master, org, app).
    public let id: String

    /// Adopts a root as it was handed over.
    ///
    /// - Throws: ``SealingError/size`` unless it has 32 bytes.
    public init(secret: Secret) throws(SealingError) {
        guard secret.count == 32 else { throw .size }
        self.secret = secret
        id = Hex.encode(try hkdf(secret, info: keyInfo("berth/app-root/id/v1", []), count: 4).copy)
    }

    /// Derives the root of `app` in `org` from the gateway's master.
    public static func derive(master: Secret, org: String, app: String) throws(SealingError) -> AppRoot {
        try AppRoot(secret: try hkdf(master, info: keyInfo("berth/app-root/v1", [org, app])))
    }
}

/// The keys of one boot of one machine (or of an app, where the provider picks the machine), of one generation.
public struct DoorKeys: Sendable, Equatable {
    /// What the keys are bound to.
    public enum Scope: Hashable, Sendable {
        case machine(id: String, boot: String)
        case app(String)
    }

    public let scope: Scope
    /// `<root id>.<generation>`.
    public let kid: String
    public let generation: Int
    /// Key of the token's HMAC.
    public let sign: Secret
    /// Key of sealed credentials.
    public let seal: Secret

    /// Derives the keys of one cold boot.
    public init(root: AppRoot, machine: String, boot: String, generation: Int = 1) throws(SealingError) {
        try self.init(root: root, scope: .machine(id: machine, boot: boot), ids: ["machine", machine, boot], generation: generation)
    }

    /// Derives the keys of an app, for tokens with `aud app:`.
    public init(root: AppRoot, app: String, generation: Int = 1) throws(SealingError) {
        try self.init(root: root, scope: .app(app), ids: ["app", app], generation: generation)
    }

    private init(root: AppRoot, scope: Scope, ids: [String], generation: Int) throws(SealingError) {
        let ids = ids + [String(generation)]
        self.init(
            scope: scope, kid: "\(root.id).\(generation)", generation: generation,
            sign: try hkdf(root.secret, info: keyInfo("berth/door/sign/v1", ids)),
            seal: try hkdf(root.secret, info: keyInfo("berth/door/seal/v1", ids)))
    }

    /// Keys as a boot document or a rotation tells them.
    public init(scope: Scope, kid: String, generation: Int, sign: Secret, seal: Secret) {
        self.scope = scope
        self.kid = kid
        self.generation = generation
        self.sign = sign
        self.seal = seal
    }

    /// The audience of tokens under these keys.
    public var audience: HostedToken.Audience {
        switch scope {
        case .machine(let id, _): .machine(id)
        case .app(let name): .app(name)
        }
    }

    /// The boot that these keys die with.
    public var boot: String? {
        switch scope {
        case .machine(_, let boot): boot
        case .app: nil
        }
    }
}

/// A label and ids, each with its length in front: no two different lists give the same bytes.
func keyInfo(_ label: String, _ ids: [String]) -> [UInt8] {
    var info: [UInt8] = []
    for part in [label] + ids {
        let bytes = Array(part.utf8)
        info.append(contentsOf: [UInt8(truncatingIfNeeded: bytes.count >> 8), UInt8(truncatingIfNeeded: bytes.count)])
        info.append(contentsOf: bytes)
    }
    return info
}
