/**
 * A doubly linked list through its members: no allocation, and any member leaves in constant time. A list is a ring
 * with a head that is not a member. A member that is in no list points to itself, so leaving twice is harmless.
 */
#ifndef LP_BASE_LIST_H
#define LP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct lp_list {
	struct lp_list *previous;
	struct lp_list *next;
};

/** The structure of `type` whose `field` is this link. */
#define LP_LIST_OWNER(link, type, field) ((type *)((char *)(link)-offsetof(type, field)))

/** Make a head empty, or a member be in no list. @param list The caller's memory. */
static inline void lp_list_init(struct lp_list *list)
{
	list->previous = list;
	list->next = list;
}

/** Whether a head has no member, or a member is in no list. @param list Initialised. */
static inline bool lp_list_empty(const struct lp_list *list)
{
	return list->next == list;
}

/** Put a member at the end. @param head Of the list. @param link In no list. */
static inline void lp_list_append(struct lp_list *head, struct lp_list *link)
{
	link->previous = head->previous;
	link->next = head;
	head->previous->next = link;
	head->previous = link;
}

/** Put a member at the front. @param head Of the list. @param link In no list. */
static inline void lp_list_prepend(struct lp_list *head, struct lp_list *link)
{
	lp_list_append(head->next, link);
}

/** Take a member out; does nothing when it is in no list. @param link Initialised. */
static inline void lp_list_remove(struct lp_list *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	lp_list_init(link);
}

#endif
