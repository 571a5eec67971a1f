import NIOCore
import NIOHTTP1

/// Who answers the requests of a server on one loop.
public protocol ServerDelegate: AnyObject {
    /// Decides on the head alone, before a byte of the body is read.
    func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission
    /// Takes a whole request. The exchange is to be answered, now or later.
    func handle(_ exchange: ServerExchange)
}

extension ServerDelegate {
    /// Lets every request in, with the server's own limit for its body.
    public func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission { .accept(bodyLimit: nil) }
}

/// A delegate's word on a head.
public enum Admission {
    /// Read the body, up to `bodyLimit` bytes (`nil`: the server's limit).
    case accept(bodyLimit: Int?)
    /// Answer at once; the body is not read.
    case refuse(status: Int, headers: [(String, String)], body: ByteBuffer?)
}
