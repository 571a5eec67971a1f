import FoundationEssentials
import GRDB
import Sealing

/// A row of `tokens`, for lists: never the token, never its digest.
public struct TokenRecord: Codable, Sendable, Equatable {
    /// ULID.
    public var id: String
    public var principal: String
    /// The virtual MCP it opens; nil for the gateway's API.
    public var vmcp: String?
    /// Milliseconds since 1970.
    public var created_at: Int64
    public var expires_at: Int64?
    public var revoked_at: Int64?
}

/// Issues and revokes bearer tokens. The database holds SHA-256 digests only: 256 random bits need no slow hash.
struct TokenStore: Sendable {
    let database: any DatabaseWriter

    /// `berth_` and 32 random bytes in base64url.
    static func newToken() throws -> String { "berth_" + Base64URL.encode(try randomBytes(32)) }

    static func digest(_ token: String) throws -> TokenDigest { TokenDigest(try SHA256.digest(Array(token.utf8))) }

    func insert(token: String, principal: String, slug: String?, now: Int64, expiresAt: Int64?) async throws -> TokenRecord {
        let record = TokenRecord(
            id: ULID().description, principal: principal, vmcp: slug, created_at: now, expires_at: expiresAt, revoked_at: nil)
        let digest = try Self.digest(token)
        try await database.write { db in
            try db.execute(
                sql: "INSERT INTO tokens (id, digest, principal, slug, createdAt, expiresAt) VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [record.id, Data(digest.bytes), principal, slug, now, expiresAt])
        }
        return record
    }

    func all() async throws -> [TokenRecord] {
        try await database.read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM tokens ORDER BY id").map { row in
                TokenRecord(
                    id: row["id"], principal: row["principal"], vmcp: row["slug"], created_at: row["createdAt"], expires_at: row["expiresAt"],
                    revoked_at: row["revokedAt"])
            }
        }
    }

    /// False when there is no such token that still opens anything.
    func revoke(_ id: String, now: Int64) async throws -> Bool {
        try await database.write { db in
            try db.execute(sql: "UPDATE tokens SET revokedAt = ? WHERE id = ? AND revokedAt IS NULL", arguments: [now, id])
            return db.changesCount == 1
        }
    }

    /// What every token that is not revoked allows, for the ``Directory``.
    func grants() async throws -> [TokenDigest: Grant] {
        try await database.read { db in
            var grants: [TokenDigest: Grant] = [:]
            for row in try Row.fetchAll(db, sql: "SELECT * FROM tokens WHERE revokedAt IS NULL") {
                let digest: Data = row["digest"]
                let slug: String? = row["slug"]
                grants[TokenDigest(Array(digest))] = Grant(
                    tokenID: row["id"], principal: row["principal"], scope: slug.map { .virtualMCP($0) } ?? .admin, expiresAt: row["expiresAt"])
            }
            return grants
        }
    }
}
