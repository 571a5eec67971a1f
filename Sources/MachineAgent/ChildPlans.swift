import Door
import Glibc
import MCP
import Sealing
import StdioBridge

/// Makes the process of each session: a uid of its own, its environment, its private directory. Confined to the loop.
final class ChildPlans {
    private let boot: BootDocument
    private let firstUID: uid_t
    private let lastUID: uid_t
    private var nextUID: uid_t
    /// Of those that may have a process yet.
    private var living: Set<uid_t> = []
    private let agent: Int32 = getpid()
    /// What the sessions' children are to be started with.
    let vault = CredentialVault()

    /// How many children, then the machine is to be replaced: a uid's System V objects outlive its processes. As many uids above
    /// them are their removals' own, and what lies above those is the orchestrator's, for commands.
    static let capacity: uid_t = 32_000

    init(boot: BootDocument, firstUID: uid_t) {
        self.boot = boot
        self.firstUID = firstUID
        nextUID = firstUID
        lastUID = firstUID + Self.capacity
    }

    /// All that children have had.
    var uids: Range<uid_t> { firstUID..<nextUID }

    /// Nothing of this child's runs any more, nor will.
    func ended(_ uid: uid_t) { living.remove(uid) }

    func hasEnded(_ uid: uid_t) -> Bool { uids.contains(uid) && !living.contains(uid) }

    func plan(for key: SessionKey) -> Result<SpawnPlan, Undelivered> {
        guard let credentials = vault.set(for: key) else {
            return .failure(Undelivered(.notDelivered, "the session's credentials are gone"))
        }
        return plan(credentials: credentials, streams: .pipes)
    }

    func plan(credentials: CredentialSet?, streams: SpawnPlan.Streams) -> Result<SpawnPlan, Undelivered> {
        guard nextUID < lastUID else { return .failure(Undelivered(.notDelivered, "this machine has started as many servers as it can")) }
        guard let random = try? randomBytes(16) else { return .failure(Undelivered(.notDelivered, "no random bytes")) }
        let uid = nextUID
        nextUID += 1
        living.insert(uid)

        var record = LaunchRecord()
        record.parent = agent
        record.command = boot.command
        record.home = "/tmp/" + Hex.encode(random)
        // A server that came as a package has no folder of its own: it works where it alone can write, and not in the /tmp that the
        // sessions of the machine share.
        record.directory = boot.directory == "/tmp" && boot.transport != .job ? record.home : boot.directory
        record.limits = LaunchRecord.Limits(
            processes: boot.childLimits.processes, openFiles: boot.childLimits.openFiles, fileBytes: boot.childLimits.fileBytes)
        record.files = (credentials?.files ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        record.environment = environment(home: record.home, credentials: credentials)
        return .success(
            SpawnPlan(
                path: "/proc/self/exe", arguments: ["berth-agent", "child", String(uid)], streams: streams, input: record.encoded(),
                mask: SecretMask(values: credentials?.secretValues ?? []),
                afterwards: SpawnPlan.Afterwards(id: uid, path: "/proc/self/exe", arguments: ["berth-agent", "kill", String(uid)])))
    }

    /// What is configured, over the few variables without which hardly a program starts.
    private func environment(home: String, credentials: CredentialSet?) -> [String] {
        var variables = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "TMPDIR": home]
        if boot.transport == .job, !boot.egress.isEmpty {
            for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
                variables[name] = EgressProxy.url
                variables[name.lowercased()] = EgressProxy.url
            }
        }
        variables.merge(boot.environment) { $1 }
        variables.merge(credentials?.environment ?? [:]) { $1 }
        return variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }
}

/// The opened credentials of sessions, for as long as their child may have to be started with them.
final class CredentialVault {
    private static let capacity = 1024
    private var sets: [SessionKey: (principal: String, set: CredentialSet)] = [:]
    private var order: [SessionKey] = []
    private let none = CredentialSet(fingerprint: "")

    func put(_ set: CredentialSet, session: SessionKey, principal: String) {
        if sets.updateValue((principal, set), forKey: session) == nil { order.append(session) }
        if order.count > Self.capacity { remove(order[0]) }
    }

    /// The empty set for a session without credentials; `nil` when they were never put.
    func set(for key: SessionKey) -> CredentialSet? { key.fingerprint.isEmpty ? none : sets[key]?.set }

    /// - Parameter principal: who must have put them; `nil` for anybody.
    func holds(_ key: SessionKey, principal: String?) -> Bool {
        if key.fingerprint.isEmpty { return true }
        guard let owner = sets[key]?.principal else { return false }
        return principal == nil || owner == principal
    }

    func remove(_ key: SessionKey) {
        guard sets.removeValue(forKey: key) != nil else { return }
        order.removeAll { $0 == key }
    }

    var count: Int { sets.count }
}
