"""What is known of addresses: countries, autonomous systems, and the inventory of virtual machines and networks.

It is applied when history is read, so that a corrected inventory corrects it.
"""

from spanline.enrich.enrichment import COLUMNS, Enrichment
from spanline.enrich.entries import InventoryError
from spanline.enrich.inventory import Inventory
from spanline.enrich.inventory_files import read_inventory
from spanline.enrich.relations import relations

__all__ = ["COLUMNS", "Enrichment", "Inventory", "InventoryError", "read_inventory", "relations"]
