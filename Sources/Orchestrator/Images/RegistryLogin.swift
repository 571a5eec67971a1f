import FoundationEssentials
import GRDB
import MachineAPI
import Persistence

/// Who a registry is told that we are.
struct RegistryLogin: Codable, Sendable, Equatable {
    var user: String
    var password: String

    static let mostUser = 256
    /// Tokens of clouds are of some thousand bytes.
    static let mostPassword = 16 << 10

    /// - Throws: what of it no registry takes.
    func check() throws(MachineFailure) {
        guard (1...Self.mostUser).contains(user.utf8.count), !user.contains(":"), Self.isPlain(user) else {
            throw MachineFailure(.badRequest, "invalid", "the user is empty, too long, or holds a colon or a control character", field: "user")
        }
        guard (1...Self.mostPassword).contains(password.utf8.count), Self.isPlain(password) else {
            throw MachineFailure(.badRequest, "invalid", "the password is empty, over 16 KiB, or holds a control character", field: "password")
        }
    }

    private static func isPlain(_ text: String) -> Bool { text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } }
}

/// Logins of registries, each sealed for its own row; no answer has a password.
extension MachineStore {
    /// How many a host keeps.
    static let mostLogins = 64

    private static func row(_ registry: String) -> String { loginPrefix + registry }
    static let loginPrefix = "registry/"
    static func loginIdentity(_ row: String) -> String { "settings/" + row }

    /// The registry as references name it, `host` or `host:port`.
    static func registry(_ text: String) throws(MachineFailure) -> String {
        guard let reference = try? RegistryReference(text + "/x"), !text.contains("/") else {
            throw MachineFailure(
                .badRequest, "invalid", "\(text.prefix(100)) is no registry", field: "registry", hint: "HOST or HOST:PORT, as in front of an image's name")
        }
        return reference.authority
    }

    func setLogin(_ login: RegistryLogin, of registry: String) async throws {
        let row = Self.row(registry)
        let sealed = Data(try keys.seal(Array(try JSONEncoder().encode(login)), identity: Self.loginIdentity(row)))
        let isDone = try await write { database in
            let others = try Int.fetchOne(
                database, sql: "SELECT count(*) FROM settings WHERE substr(name, 1, ?) = ? AND name != ?",
                arguments: [Self.loginPrefix.utf8.count, Self.loginPrefix, row])
            guard (others ?? 0) < Self.mostLogins else { return false }
            try database.execute(
                sql: "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", arguments: [row, sealed])
            return true
        }
        guard isDone else {
            throw MachineFailure(.invalid, "too_many", "there are \(Self.mostLogins) logins", field: "registry", hint: "berth image logout HOST")
        }
    }

    func login(of registry: String) async throws -> RegistryLogin? {
        let row = Self.row(registry)
        guard let sealed = try await setting(row) else { return nil }
        return try JSONDecoder().decode(RegistryLogin.self, from: Data(try keys.open(sealed, identity: Self.loginIdentity(row))))
    }

    /// - Returns: whether there was one.
    func removeLogin(of registry: String) async throws -> Bool {
        try await write { database in
            try database.execute(sql: "DELETE FROM settings WHERE name = ?", arguments: [Self.row(registry)])
            return database.changesCount > 0
        }
    }

    /// Registries with their users.
    func logins() async throws -> [(registry: String, user: String)] {
        let rows = try await read { database in
            try String.fetchAll(
                database, sql: "SELECT name FROM settings WHERE substr(name, 1, ?) = ? ORDER BY name",
                arguments: [Self.loginPrefix.utf8.count, Self.loginPrefix])
        }
        var found: [(registry: String, user: String)] = []
        for row in rows {
            let registry = String(row.dropFirst(Self.loginPrefix.count))
            if let login = try await login(of: registry) { found.append((registry, login.user)) }
        }
        return found
    }
}
