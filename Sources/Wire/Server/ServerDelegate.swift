import NIOCore
import NIOHTTP1

/// Who answers the requests of a server on one loop.
public protocol ServerDelegate: AnyObject {
    /// Decides on the head alone, before a byte of the body is read.
    func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission
    /// Takes a whole request. The exchange is to be answered, now or later.
    func handle(_ exchange: ServerExchange)
    /// Whose bytes a request's body is, asked when it is long or does not come at once. Strangers are one payer, `""`.
    func payer(of head: HTTPRequestHead, peer: ServerPeer) -> String
}

extension ServerDelegate {
    /// Lets every request in, with the server's own limit for its body.
    public func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission { .accept(bodyLimit: nil) }
    public func payer(of head: HTTPRequestHead, peer: ServerPeer) -> String { "" }
}

/// A delegate's word on a head.
public enum Admission {
    /// Read the body, up to `bodyLimit` bytes (`nil`: the server's limit), as `payer`'s, where that is known already.
    case accept(bodyLimit: Int?, payer: String? = nil)
    /// Answer at once; the body is not read.
    case refuse(status: Int, headers: [(String, String)], body: ByteBuffer?)
}
