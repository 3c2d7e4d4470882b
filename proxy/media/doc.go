// Package media is Caddy's face of the media edge: the handler media_edge,
// which takes requests for media off the application and either sends them on
// to a CDN or a bucket, by a redirect that it may sign, or fetches the media
// itself and keeps it; and the app greenroom_media, which holds what outlives a
// request: the cache, the origins with their health, the keys.
//
// It knows nothing of colors: a cutover changes nothing here.
package media
